//! What is run beside a service: commands that look after it, and commands that are
//! told of it. None of them keeps anybody waiting or outstays its time.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs and threads"
)]

mod common;

#[path = "care/again.rs"]
mod again;
#[path = "control/client.rs"]
#[expect(dead_code, reason = "it can more than is needed here")]
mod client;
#[path = "care/health.rs"]
mod health;
#[path = "care/hooks.rs"]
mod hooks;

use client::Client;
use common::Place;

/// What a request of this name says of a service, as one text.
#[track_caller]
pub fn told(place: &Place, command: &str, name: &str) -> String {
    let mut client = Client::connect(place);
    client.say(&[&format!("command={command}"), &format!("name={name}")]);
    let mut text = String::new();
    for block in client.reply().blocks {
        block.pairs().for_each(|(key, value)| text.extend([key, "=", value, "\n"]));
    }
    text
}

/// Orders something, and waits for the answer.
#[track_caller]
pub fn order(place: &Place, command: &str, name: &str) {
    let mut client = Client::connect(place);
    client.say(&[&format!("command={command}"), &format!("name={name}")]);
    client.reply();
}
