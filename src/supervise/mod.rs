//! The pure core: what happened goes in, what to do comes out. It must never
//! read a clock, touch the system or block, so that every history of a service
//! can be played in a test.

mod adopt;
mod bytes;
mod course;
mod demand;
mod facts;
mod forking;
mod minding;
mod order;
mod parting;
mod ready;
pub mod record;
mod rest;
mod service;
mod state;
mod supervisor;
mod verdict;
#[cfg(test)]
mod walk;

pub use bytes::digest;
pub use facts::{
    Action, Death, Definition, Event, Exit, Fault, Job, Moment, Pid, Remains, Step, Strike,
};
pub use order::{Blocker, is_ready};
pub use service::Service;
pub use state::{Stage, State, Stay, Want};
pub use supervisor::{Outcome, Slot, Supervisor};
