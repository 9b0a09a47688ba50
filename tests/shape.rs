//! What a service is wrapped in: its environment, its limits, the rights it keeps and
//! the part of the system it sees. Looked at from outside, in /proc, and from
//! inside, by what it is refused.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

mod common;

#[path = "shape/checking.rs"]
mod checking;
#[path = "shape/environment.rs"]
mod environment;
#[path = "shape/limits.rs"]
mod limits;
#[path = "shape/plain.rs"]
mod plain;
#[path = "shape/rights.rs"]
mod rights;
#[path = "shape/sandbox.rs"]
mod sandbox;
#[path = "shape/service.rs"]
mod service;
