//! going-log by itself, driven through its socket as going does it.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs, threads and clocks"
)]
#![allow(dead_code, reason = "not all of the bench is used everywhere")]

#[path = "log_alone/bench.rs"]
mod bench;
#[path = "log_alone/budget.rs"]
mod budget;
#[path = "log_alone/elsewhere.rs"]
mod elsewhere;
#[path = "log_alone/files.rs"]
mod files;
#[path = "log_alone/full.rs"]
mod full;
#[path = "log_alone/killed.rs"]
mod killed;
#[path = "log_alone/lines.rs"]
mod lines;
