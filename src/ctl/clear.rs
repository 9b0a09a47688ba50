//! `goingctl clear-log` and `goingctl reopen-logs`: going has going-log do it,
//! which alone knows what is being written at that moment.

use std::time::Duration;

use clap::ArgMatches;

use super::{Ending, Session, act, complain, judge, options, print, request};
use crate::client::reply::Outcome;
use crate::client::say;
use crate::client::{Client, Trouble, json};
use crate::protocol::{Command, Message, Request};
use crate::supervise::Moment;
use crate::sys;

/// What is cleared is cleared at once; after this, nobody does it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Performs `clear-log`.
pub fn clear(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let mut client = Client::connect(&session.place()?)?;
    let mut reply = client.ask(&request(Command::ClearLog, matches))?;
    let outcomes: Vec<Outcome> = reply.blocks.iter().filter_map(Outcome::read).collect();
    let mut ending = judge(&reply).max(act::tell_failures(&outcomes));
    let mut pending: Vec<String> =
        outcomes.into_iter().filter(Outcome::is_good).map(|it| it.name).collect();
    let is_waiting = !options::has(matches, "no-wait");
    if !is_waiting && !session.is_json {
        for name in &pending {
            print(&format!("{name}: its log is being cleared\n"))?;
        }
    }
    if is_waiting && !pending.is_empty() {
        let since = Some(reply.serial);
        client.send(&Request { since, follow: true, ..Request::new(Command::Events) })?;
        let patience = options::value::<Duration>(matches, "timeout").unwrap_or(PATIENCE);
        let deadline = sys::monotonic().after(patience);
        while !pending.is_empty() {
            let Some(event) = next(&mut client, deadline)? else { break };
            let Some(name) = event.get("service") else { continue };
            let is_meant = event.get("event") == Some("log") && pending.iter().any(|it| it == name);
            let (true, Some(fact)) = (is_meant, event.get("log")) else { continue };
            pending.retain(|it| it != name);
            if fact == "cleared" {
                if !session.is_json {
                    print(&format!("{name}: log cleared\n"))?;
                }
                continue;
            }
            let why = event.get("message").unwrap_or("going-log does not say why");
            complain(&format!("{name}: its log is kept: {why}"));
            fail(&mut reply.blocks, name, why);
            ending = ending.max(Ending::Failed);
        }
        for name in pending {
            let why = format!("not cleared after {}; does going-log run?", say::span(patience));
            complain(&format!("{name}: {why}"));
            fail(&mut reply.blocks, &name, &why);
            ending = ending.max(Ending::Failed);
        }
    }
    if session.is_json {
        print(&json::blocks(&reply, "services", &[]))?;
    }
    Ok(ending)
}

/// The next event before the time is over.
fn next(client: &mut Client, deadline: Moment) -> Result<Option<Message>, Trouble> {
    let left = deadline.since(sys::monotonic());
    if left.is_zero() { Ok(None) } else { client.next(left) }
}

/// The order was taken, but came to nothing.
fn fail(blocks: &mut [Message], name: &str, why: &str) {
    for block in blocks.iter_mut().filter(|block| block.get("service") == Some(name)) {
        let mut failed = Message::new();
        for (key, value) in block.pairs() {
            failed.add(key, if key == "outcome" { "failed" } else { value });
        }
        failed.add("message", why);
        *block = failed;
    }
}

/// Performs `reopen-logs`.
pub fn reopen(session: &Session) -> Result<Ending, Trouble> {
    let reply = session.ask(&Request::new(Command::ReopenLogs))?;
    let ending = judge(&reply);
    if session.is_json {
        print(&json::figures(&[("reopened", (ending == Ending::Done).into())]))?;
    } else if ending == Ending::Done {
        print("logs reopened\n")?;
    }
    Ok(ending)
}
