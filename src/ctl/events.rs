//! `goingctl events`: a line for each thing that happened.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ArgMatches;

use super::screen::Style;
use super::status::paint;
use super::{Ending, Session, complain, options, print};
use crate::client::reply::{Death, End};
use crate::client::say;
use crate::client::{Client, Trouble, json};
use crate::protocol::{Command, Message, Request, State};

/// Nobody waits this long, and a timeout must be something.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Performs it.
pub fn events(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let mut client = Client::connect(&session.place()?)?;
    client.send(&Request {
        since: options::value(matches, "since"),
        follow: options::has(matches, "follow"),
        ..Request::new(Command::Events)
    })?;
    loop {
        let Some(message) = client.next(FOREVER)? else { continue };
        match message.get("result") {
            Some("ok") => return Ok(Ending::Done),
            Some(_) => {
                complain(message.get("message").unwrap_or("going does not tell"));
                return Ok(Ending::Failed);
            }
            None => {}
        }
        let time = time(&message, now()).map(say::moment);
        print(&if session.is_json {
            json::event(&message, time)
        } else {
            line(&message, &time.unwrap_or_default(), session.style)
        })?;
    }
}

/// Milliseconds since 1970, which people know from their clocks.
#[expect(clippy::disallowed_methods, reason = "shown to people, and nothing depends on it")]
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// What the message of an event is about, if it does not say so itself.
fn kept(message: &Message) -> &'static str {
    if message.get("log") == Some("kept") { "log kept: " } else { "" }
}

/// When an event happened: as it says itself, or as long before now as it says.
fn time(message: &Message, now: u64) -> Option<u64> {
    let ago = message.number("ago-ms").map(|ago| now.saturating_sub(ago));
    message.number("time-ms").or(ago)
}

/// One event.
pub fn line(message: &Message, time: &str, style: Style) -> String {
    if let Some(lost) = message.number("lost") {
        return format!(
            "({} lost: this reader is too slow, or came too late)\n",
            say::count(lost, "event")
        );
    }
    let serial = message.get("serial").unwrap_or("?");
    let head = format!("{time} {serial:>5} {}:", message.get("service").unwrap_or("going"));
    if let Some(text) = message.get("message") {
        return format!("{head} {}{text}\n", kept(message));
    }
    if message.get("log") == Some("cleared") {
        return format!("{head} log cleared\n");
    }
    let (Some(was), Some(state)) = (message.get("was"), message.get("state")) else {
        return format!("{head} {}\n", message.get("event").unwrap_or("something happened"));
    };
    let mut details = Vec::new();
    if let Some(pid) = message.get("pid") {
        details.push(format!("pid {pid}"));
    }
    if let Some(death) = Death::read(message, "") {
        details.push(match death.end {
            End::Fault(_) => say::ended(&death.end),
            End::Exit(_) | End::Signal { .. } | End::Memory | End::Unknown => {
                format!("{} after {}", say::ended(&death.end), say::span(death.ran))
            }
        });
    }
    let next = match State::read(state) {
        Some(State::Quarantined) => "next try",
        Some(State::Stopping | State::Clearing) => "next signal",
        // When a start that takes too long is given up is of no interest yet.
        _ => "",
    };
    if let Some(time) = message.number("next-ms").filter(|_| !next.is_empty()) {
        details.push(format!("{next} in {}", say::span(Duration::from_millis(time))));
    }
    let details = details.join(", ");
    let details = if details.is_empty() { details } else { format!(" ({details})") };
    format!("{head} {was} -> {}{details}\n", style.paint(paint(state), state))
}
