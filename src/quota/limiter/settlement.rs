//! The end of a call: whether its response may be sent under the lease that it is charged to.

use tokio::sync::oneshot;

/// Identifies a lease in this process. A lease whose calls were given back goes on under a new handle, so that calls of
/// the old one are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseHandle(pub(super) u64);

/// Whether a call's response may be sent.
pub(super) enum Settlement {
    /// Yes: the call counts.
    Counted,
    /// Not before the next reservation; then ask again.
    AfterReservation(oneshot::Receiver<()>),
    /// No: the lease expired, and the call was given back.
    LeaseLost,
}
