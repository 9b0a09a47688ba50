//! Orders: they are given, their outcomes told, and waited for unless somebody
//! does not want to. Questions that one line answers are here, too.

use std::time::Duration;

use clap::ArgMatches;
use serde_json::json;

use super::wait::{self, Goal, Target};
use super::{Ending, Session, complain, judge, options, print, request};
use crate::client::reply::Outcome;
use crate::client::{Client, Reply, Trouble, json};
use crate::config::Signal;
use crate::protocol::{Command, Request};

/// Performs what is waited for.
pub fn order(session: &Session, name: &str, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let timeout = options::value::<Duration>(matches, "timeout");
    let is_waiting = !options::has(matches, "no-wait");
    let (command, target) = match name {
        "start" => (Command::Start, Target::Up),
        "stop" => (Command::Stop, Target::Down),
        "restart" => (Command::Restart, Target::Up),
        "retry" => (Command::Retry, Target::Up),
        _ => return shutdown(session, is_waiting, timeout),
    };
    let place = session.place()?;
    let reply = Client::connect(&place)?.ask(&request(command, matches))?;
    let outcomes: Vec<Outcome> = reply.blocks.iter().filter_map(Outcome::read).collect();
    let mut ending = judge(&reply).max(tell_failures(&outcomes));
    let taken: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.is_good()).collect();
    if !is_waiting {
        return finish(session, &reply, &taken, ending);
    }
    // Nothing is to be retried that is not held back, so there is nothing to
    // wait for either.
    let is_idle = |outcome: &Outcome| command == Command::Retry && outcome.outcome == "already";
    for outcome in taken.iter().filter(|outcome| is_idle(outcome)) {
        let text = format!("{}: nothing to retry, it is {}\n", outcome.name, outcome.state);
        print_unless_json(session, &text)?;
    }
    let waited = taken.into_iter().filter(|outcome| !is_idle(outcome)).cloned().collect();
    let (reached, states) = wait::reach(
        session,
        &place,
        Goal { target, services: waited, timeout, serial: reply.serial },
    )?;
    if session.is_json {
        print(&json::blocks(&reply, "services", &states))?;
    }
    ending = ending.max(reached);
    Ok(ending)
}

/// Performs what is done as soon as it is ordered.
pub fn deed(session: &Session, name: &str, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let (command, signal) = match name {
        "enable" => (Command::Enable, None),
        "disable" => (Command::Disable, None),
        "hup" => (Command::Hup, None),
        _ => (Command::Signal, options::value::<Signal>(matches, "signal")),
    };
    let reply = session.ask(&Request { signal, ..request(command, matches) })?;
    let outcomes: Vec<Outcome> = reply.blocks.iter().filter_map(Outcome::read).collect();
    let ending = judge(&reply).max(tell_failures(&outcomes));
    if session.is_json {
        print(&json::blocks(&reply, "services", &[]))?;
        return Ok(ending);
    }
    let done = match (command, signal) {
        (_, Some(signal)) => format!("{signal} sent"),
        (Command::Hup, None) => "told to read its configuration again".to_owned(),
        _ => format!("{name}d"),
    };
    for outcome in outcomes.iter().filter(|outcome| outcome.is_good()) {
        let already = if outcome.outcome == "already" { "already " } else { "" };
        print(&format!("{}: {already}{done}\n", outcome.name))?;
    }
    Ok(ending)
}

fn print_unless_json(session: &Session, text: &str) -> Result<(), Trouble> {
    if session.is_json { Ok(()) } else { print(text) }
}

/// Each service that did not take an order is told of; what that makes of the
/// ending.
pub fn tell_failures(outcomes: &[Outcome]) -> Ending {
    let mut ending = Ending::Done;
    for outcome in outcomes.iter().filter(|outcome| !outcome.is_good()) {
        let why = outcome.message.as_deref().unwrap_or(&outcome.outcome);
        complain(&format!("{}: {why}", outcome.name));
        ending = Ending::Failed;
    }
    ending
}

/// Tells what was ordered, and how things are at this moment.
fn finish(
    session: &Session,
    reply: &Reply,
    taken: &[&Outcome],
    ending: Ending,
) -> Result<Ending, Trouble> {
    if session.is_json {
        print(&json::blocks(reply, "services", &[]))?;
        return Ok(ending);
    }
    for Outcome { name, outcome, state, .. } in taken {
        let already = if outcome == "already" { "already " } else { "" };
        print(&format!("{name}: {already}{state}\n"))?;
    }
    Ok(ending)
}

/// Stops everything, going last. It is over when going hangs up.
fn shutdown(
    session: &Session,
    is_waiting: bool,
    timeout: Option<Duration>,
) -> Result<Ending, Trouble> {
    let place = session.place()?;
    let mut client = Client::connect(&place)?;
    let reply = client.ask(&Request::new(Command::Shutdown))?;
    let ending = judge(&reply);
    if ending != Ending::Done {
        return Ok(ending);
    }
    if !is_waiting {
        print("going is stopping everything\n")?;
        return Ok(ending);
    }
    wait::end(session, &place, client, timeout)?;
    print("all services stopped, going has ended\n")?;
    Ok(ending)
}

/// Has going become the program that is installed now; the answer comes from that.
pub fn upgrade(session: &Session) -> Result<Ending, Trouble> {
    let reply = session.ask(&Request::new(Command::Upgrade))?;
    let ending = judge(&reply);
    if ending != Ending::Done {
        return Ok(ending);
    }
    let reply = session.ask(&Request::new(Command::Version))?;
    let version = reply.blocks.first().and_then(|block| block.get("version")).unwrap_or("?");
    print(&if session.is_json {
        json::figures(&[("version", version.into())])
    } else {
        format!("upgraded, now going {version}; all services run on\n")
    })?;
    Ok(ending)
}

/// Performs `reload`.
pub fn reload(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let dry_run = options::has(matches, "dry-run");
    let reply = session.ask(&Request { dry_run, ..Request::new(Command::Reload) })?;
    let refused = reply.blocks.iter().any(|block| block.get("decision") == Some("refuse"));
    print(&if session.is_json {
        json::blocks(&reply, "decisions", &[])
    } else {
        decisions(&reply, dry_run)
    })?;
    let ending = judge(&reply);
    Ok(if refused { ending.max(Ending::Failed) } else { ending })
}

/// A line for each decision.
fn decisions(reply: &Reply, is_dry: bool) -> String {
    let mut text = String::new();
    for block in &reply.blocks {
        let (Some(name), Some(decision)) = (block.get("service"), block.get("decision")) else {
            continue;
        };
        if name.is_empty() {
            // It is about the directory itself.
            text.push_str("the directory cannot be read, so everything is kept as it is\n");
            for complaint in block.all("complaint") {
                text.push_str(&format!("  {complaint}\n"));
            }
            continue;
        }
        let words = match (decision, is_dry) {
            ("start", true) => "would start",
            ("start", false) => "started",
            ("stop", true) => "would stop, its file is gone",
            ("stop", false) => "stopped, its file is gone",
            ("restart", true) => "would restart",
            ("restart", false) => "restarted",
            ("apply", true) => "would change in place",
            ("apply", false) => "changed in place",
            ("nothing", _) => "only comments changed, nothing to do",
            ("refuse", _) => "file refused",
            (other, _) => other,
        };
        let keys = block.get("keys").map(|keys| format!(" ({keys})")).unwrap_or_default();
        text.push_str(&format!("{name}: {words}{keys}\n"));
        for complaint in block.all("complaint") {
            text.push_str(&format!("  {complaint}\n"));
        }
    }
    if text.is_empty() && reply.code.is_none() {
        text.push_str("nothing changed\n");
    }
    text
}

/// Performs `ping`.
pub fn ping(session: &Session) -> Result<Ending, Trouble> {
    let reply = session.ask(&Request::new(Command::Ping))?;
    let ending = judge(&reply);
    if session.is_json {
        print(&json::figures(&[("answers", (ending == Ending::Done).into())]))?;
    } else if ending == Ending::Done {
        print("going answers\n")?;
    }
    Ok(ending)
}

/// Performs `version`: ours in any case.
pub fn version(session: &Session) -> Result<Ending, Trouble> {
    let ours = env!("CARGO_PKG_VERSION");
    if !session.is_json {
        print(&format!("goingctl {ours}\n"))?;
    }
    let reply = session.ask(&Request::new(Command::Version))?;
    let theirs = reply.blocks.iter().find_map(|block| block.get("version"));
    if session.is_json {
        print(&json::figures(&[("goingctl", ours.into()), ("going", json!(theirs))]))?;
    } else if let Some(theirs) = theirs {
        print(&format!("going {theirs}\n"))?;
    }
    Ok(judge(&reply))
}
