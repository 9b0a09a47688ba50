//! Going's own death: killed, left or replaced, the next one takes up what runs,
//! knows what the last one knew, starts nothing twice, and touches no stranger.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs, threads and clocks"
)]

mod common;

#[path = "control/client.rs"]
#[expect(dead_code, reason = "it can more than is needed here")]
mod client;
#[path = "adopt/deaths.rs"]
mod deaths;
#[path = "adopt/finding.rs"]
mod finding;
#[path = "adopt/forking.rs"]
mod forking;
#[path = "adopt/homeless.rs"]
mod homeless;
#[path = "adopt/hostile.rs"]
mod hostile;
#[path = "adopt/leftovers.rs"]
mod leftovers;
#[path = "adopt/mains.rs"]
mod mains;
#[path = "adopt/steps.rs"]
mod steps;
#[path = "adopt/upgrade.rs"]
mod upgrade;

pub use mains::{exists, is_answered, kill, main_of, mains};
