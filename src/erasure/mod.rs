//! Erasing a contact from everything that the service stores and remembers.
//!
//! An erasure begins with the event `erased`, in whose transaction its row is written. From then on no command can write
//! about the contact. [`ErasureWorker`] takes the row from stage to stage: what belongs to the person, the log with the read
//! models, the memory of every replica, responses, the stream. It runs on every replica, and any of them takes the next
//! step: a step is one transaction on the locked row, so that it may be killed at any point and repeated.
//!
//! The order of the stages is what makes them complete. The log comes first, since everything else is made from it. Then
//! every replica confirms ([`MemoryCleaner`]) that it keeps no event of before. After that no response to such an event is
//! written any more, and no message published: what exists of both is final, and is searched.

mod memory;
mod service;
mod worker;

pub use memory::MemoryCleaner;
pub use service::ErasureService;
pub use worker::ErasureWorker;
