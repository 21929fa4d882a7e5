//! The edge: connections, heads and bodies as any client may send them.

mod bounds;
mod conditions;
mod documents;
mod heads;
