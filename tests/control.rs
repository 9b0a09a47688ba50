//! The control socket, seen from outside: what each command does and says, who
//! may give it, and that no client, however stupid or malicious, keeps going from
//! its work or others from being served. The examples of going-protocol(7) are
//! run as they are printed.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs and threads"
)]

mod common;

#[path = "control/asking.rs"]
mod asking;
#[path = "control/client.rs"]
mod client;
#[path = "control/crowd.rs"]
mod crowd;
#[path = "control/examples.rs"]
mod examples;
#[path = "control/flood.rs"]
mod flood;
#[path = "control/orders.rs"]
mod orders;
#[path = "control/rights.rs"]
mod rights;
#[path = "control/rundir.rs"]
mod rundir;
