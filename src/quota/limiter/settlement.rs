//! The end of a call: whether its response may be sent under the lease that it is charged to.

use tokio::sync::oneshot;

/// Identifies a lease in this process. A lease whose calls were given back continues under a new handle, so that calls
/// under the old handle are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseHandle(pub(super) u64);

/// Whether a call's response may be sent.
pub(super) enum Settlement {
    /// Yes: the call counts.
    Counted,
    /// Not before the next reservation; then settle again.
    AfterReservation(oneshot::Receiver<()>),
    /// No: the lease expired, and the call was given back.
    LeaseLost,
}
