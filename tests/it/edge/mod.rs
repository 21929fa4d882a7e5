//! The edge: connections, heads and bodies as a client from outside may send them.

mod bounds;
mod conditions;
mod documents;
mod heads;
