//! The pure core: what happened goes in, what to do comes out. It must never
//! read a clock, touch the system or block, so that every history of a service
//! can be played in a test.

mod adopt;
mod bytes;
mod demand;
mod facts;
mod forking;
pub mod record;
mod rest;
mod service;
mod supervisor;
mod verdict;
#[cfg(test)]
mod walk;

pub use bytes::digest;
pub use facts::{
    Action, Death, Definition, Event, Exit, Fault, Moment, Pid, Remains, State, Stay, Step, Strike,
    Want,
};
pub use service::Service;
pub use supervisor::{Outcome, Slot, Supervisor};
