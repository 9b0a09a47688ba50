//! When a service is ready: what it says, a line on a descriptor, a port; and whether it
//! still is well. With clients of others, over deaths of going, and with strangers.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs, threads and clocks"
)]

mod common;

#[path = "ready/asked.rs"]
mod asked;
#[path = "control/client.rs"]
#[expect(dead_code, reason = "it can more than is needed here")]
mod client;
#[path = "ready/descriptor.rs"]
mod descriptor;
#[path = "ready/notices.rs"]
mod notices;
#[path = "ready/port.rs"]
mod port;
#[path = "ready/survive.rs"]
mod survive;
#[path = "ready/watchdog.rs"]
mod watchdog;

use client::Client;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use common::{Place, run, wait_until};

/// The lines for a service that does what it is told; see `tests/ready/speaker.py`.
pub fn speaker(place: &Place, name: &str) -> String {
    let (pipe, script) =
        (place.path(name), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ready/speaker.py"));
    assert!(run(&["mkfifo", "-m", "666", &pipe]).status.success());
    format!("cmd=python3 {script} {pipe}\n")
}

/// Tells it what to do; waits until it listens.
pub fn tell(place: &Place, name: &str, order: &str) {
    // Without O_NONBLOCK it would wait for ever for one that is dead.
    let flags = nix::libc::O_NONBLOCK;
    let open = || OpenOptions::new().write(true).custom_flags(flags).open(place.path(name));
    let mut pipe = None;
    wait_until(&format!("{name} to listen"), || {
        pipe = open().ok();
        pipe.is_some()
    });
    writeln!(pipe.unwrap(), "{order}").unwrap();
}

/// What `why` says of a service, as one text.
#[track_caller]
pub fn why(place: &Place, name: &str) -> String {
    let mut text = String::new();
    for block in Client::connect(place).ask(&["command=why", &format!("name={name}")]).blocks {
        block.pairs().for_each(|(key, value)| text.extend([key, "=", value, "\n"]));
    }
    text
}
