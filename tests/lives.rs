//! A service's life beyond start and stop: as one of many of a kind, with files of
//! its own that change, as a daemon that leaves its parent, and what an operator
//! can do to find out whether it would survive.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

mod common;

#[path = "lives/changes.rs"]
mod changes;
#[path = "control/client.rs"]
#[expect(dead_code, clippy::disallowed_methods, reason = "it can more than is needed here")]
mod client;
#[path = "ctl/mod.rs"]
mod ctl;
#[path = "lives/drill.rs"]
mod drill;
#[path = "lives/forking.rs"]
mod forking;
#[path = "lives/instances.rs"]
mod instances;
#[path = "lives/rolling.rs"]
mod rolling;
