//! Everything that the kernel can refuse, refused: what is owed is done when the
//! cause is gone, nothing is lost or done twice, going neither dies nor spins.

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
#[path = "faults/injected.rs"]
mod injected;
#[path = "adopt/mains.rs"]
#[expect(dead_code, reason = "as above")]
mod mains;
#[path = "faults/moved.rs"]
mod moved;
#[path = "faults/shortage.rs"]
mod shortage;

use std::fs;

use client::Client;
use common::{Going, Place, is_alive, wait_until};
use mains::mains;

/// Waits until exactly these services run, each as one process, and going says so, too.
#[track_caller]
fn wait_exactly(place: &Place, names: &[&str]) {
    let mut names: Vec<_> = names.iter().map(|it| (*it).to_owned()).collect();
    names.sort();
    wait_until(&format!("{names:?} to run, once each"), || {
        let mut all = mains(place);
        all.remove("going-log");
        all.keys().eq(&names) && all.values().all(|it| it.len() == 1)
    });
    let mut client = Client::connect(place);
    for name in &names {
        client.wait_state(name, "up");
    }
}

/// How many descriptors it has.
fn descriptors(going: &Going) -> usize {
    assert!(is_alive(going.pid), "going is dead");
    fs::read_dir(format!("/proc/{}/fd", going.pid)).unwrap().count()
}
