//! `goingctl notify` and `goingctl alerts`: what going-alert is asked, which listens
//! beside going.

use std::time::Duration;

use clap::ArgMatches;
use serde_json::Value;

use super::{Ending, Session, options, print};
use crate::client::{Trouble, alerts, json, say};
use crate::config::grammar::visible;
use crate::protocol::Message;

/// Has a text told.
pub fn notify(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let mut question = question("notify", &options::texts(matches, "to"));
    question.add("text", &options::texts(matches, "text").join(" "));
    let blocks = alerts::ask(&session.place()?, &question)?;
    if session.is_json {
        show(session, &blocks)?;
    }
    Ok(Ending::Done)
}

/// Shows whom going-alert tells, or makes some of them mute.
pub fn alerts(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let (mute, unmute) = (options::texts(matches, "mute"), options::texts(matches, "unmute"));
    let mut question = match (mute.as_slice(), unmute.as_slice()) {
        ([], []) => question("alerts", &[]),
        ([], names) => self::question("unmute", names),
        (names, _) => self::question("mute", names),
    };
    if let Some(span) = options::value::<Duration>(matches, "for") {
        question.add("for-ms", &span.as_millis().to_string());
    }
    let blocks = alerts::ask(&session.place()?, &question)?;
    show(session, &blocks)?;
    Ok(Ending::Done)
}

fn question(command: &str, targets: &[String]) -> Message {
    let mut message = Message::new();
    message.add("command", command);
    for target in targets {
        message.add("target", target);
    }
    message
}

fn show(session: &Session, blocks: &[Message]) -> Result<(), Trouble> {
    if session.is_json {
        let all: Value = blocks.iter().map(|block| Value::Object(json::object(block))).collect();
        return print(&format!("{all:#}\n"));
    }
    let get = |block: &Message, key: &str| visible(block.get(key).unwrap_or_default());
    let width = |key: &str| blocks.iter().map(|it| get(it, key).len()).max().unwrap_or(0);
    let (first, second) = (width("target"), width("to"));
    let mut text = String::new();
    for block in blocks {
        let mut facts = vec![format!("{} waiting", get(block, "waiting"))];
        if block.number("refused").is_some_and(|refused| refused > 0) {
            facts.push(format!("{} refused", get(block, "refused")));
        }
        if block.get("muted").is_some() {
            let left = block.number("muted-ms").map(Duration::from_millis);
            let left = left.map(|left| format!(" for {}", say::span(left)));
            facts.push(format!("muted{}", left.unwrap_or_default()));
        }
        if block.get("trouble").is_some() {
            facts.push(get(block, "trouble"));
        }
        let (name, to) = (get(block, "target"), get(block, "to"));
        text.push_str(&format!("{name:<first$}  {to:<second$}  {}\n", facts.join(", ")));
    }
    print(&text)
}
