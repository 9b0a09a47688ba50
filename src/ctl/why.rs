//! `goingctl why`: the story of a service in sentences: what it is, what is
//! wanted, what is so, how it came to be so, and what to do next.

use clap::ArgMatches;

use super::log::safe;
use super::screen::{Paint, Style};
use super::status::paint;
use super::{Ending, Session, events, judge, options, print, request};
use crate::client::json::LastWords;
use crate::client::log::{Wanted, last_lines, of};
use crate::client::reply::{Death, End, Status};
use crate::client::say::{self, count as count_of, count, ended, span};
use crate::client::usage::{Group, Row, measured, of_group, used};
use crate::client::{Trouble, json};
use crate::protocol::{Command, Message, State};

/// So many of its last lines are shown.
const LINES: u64 = 10;

/// Performs it.
pub fn why(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let reply = session.ask(&request(Command::Why, matches))?;
    let rows = measured(reply.blocks.iter().filter_map(Status::read).collect());
    let count = options::value::<u64>(matches, "lines").unwrap_or(LINES);
    let words: Vec<LastWords> =
        rows.iter().map(|(it, _)| last_words(&reply.blocks, it, count)).collect();
    print(&if session.is_json {
        json::why(&reply, &used(&rows), &words)
    } else {
        let tell = |(row, words)| story(row, &deaths(&reply.blocks, &row.0.name), words);
        let stories = rows.iter().zip(&words).map(tell);
        let stories: Vec<String> = stories.map(|it| it.render(session.style)).collect();
        stories.join("\n")
    })?;
    Ok(judge(&reply))
}

/// The deaths that are told of a service, the latest first.
pub fn deaths(blocks: &[Message], name: &str) -> Vec<Death> {
    let of = |block: &&Message| block.get("death").is_some() && block.get("of") == Some(name);
    blocks.iter().filter(of).filter_map(|block| Death::read(block, "")).collect()
}

/// Reads it from its log.
fn last_words(blocks: &[Message], service: &Status, count: u64) -> LastWords {
    let deaths = deaths(blocks, &service.name);
    let death = deaths.first().filter(|death| !death.ordered && count > 0)?;
    if matches!(death.end, End::Fault(_)) && !has_run(death) {
        return None;
    }
    let is_it = |block: &&Message| block.get("service") == Some(&service.name);
    let sources = of(blocks.iter().find(is_it)?, Wanted::Both).ok()?;
    // What is running now is not dead.
    let uptime = service.uptime.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
    let before = uptime.map(|uptime| events::now().saturating_sub(uptime));
    Some(last_lines(sources, count, before))
}

/// What is told of a service.
pub struct Story {
    name: String,
    state: String,
    lines: Vec<String>,
    /// What it wrote last, as it was written.
    words: Vec<Vec<u8>>,
    /// What is told below that.
    more: Vec<String>,
    next: Vec<String>,
}

/// Tells the story.
pub fn story(row: &Row, deaths: &[Death], words: &LastWords) -> Story {
    let (service, usage) = row;
    let mut lines = Vec::new();
    if let Some(description) = &service.description {
        lines.push(description.clone());
    }
    if let Some(cmd) = &service.cmd {
        lines.push(format!("It runs: {cmd}"));
    }
    if let Some(file) = &service.file {
        lines.push(format!("Its file is {file}."));
    }
    lines.push(is_so(service));
    lines.extend(service.says().map(|says| format!("It says: {says}.")));
    if !service.listens.is_empty() {
        let addresses = service.listens.join(", ");
        lines.push(format!("Going listens for it on {addresses}, also while it is restarted."));
    }
    let group = service.cgroup.as_deref().and_then(of_group);
    if let Some(group) = group {
        lines.extend(uses(&group));
    } else if let Some(usage) = usage {
        let (memory, cpu) = (say::size(usage.memory), span(usage.cpu));
        lines.push(format!("Its main process has {memory} of memory and has used {cpu} of CPU."));
    }
    match service.starts {
        0 => lines.push("Its program has never run since going was started.".to_owned()),
        starts => lines.push(format!("Its program was run {}.", count(starts, "time"))),
    }
    lines.extend(health(service));
    lines.extend(ends(deaths));
    let (heading, words) = match words {
        None => (None, Vec::new()),
        Some(Ok(words)) if words.is_empty() => (Some("It wrote nothing.".to_owned()), Vec::new()),
        Some(Ok(words)) => (Some("It wrote last:".to_owned()), words.clone()),
        Some(Err(why)) => {
            let why = why.replace('\n', "; ");
            (Some(format!("What it wrote cannot be shown: {why}.")), Vec::new())
        }
    };
    lines.extend(heading);
    let mut more = Vec::new();
    if service.strikes > 0 {
        more.push(strikes(service));
    }
    for complaint in &service.complaints {
        more.push(format!("Wrong with its file: {complaint}"));
    }
    let is_shown = !words.is_empty();
    Story {
        name: service.name.clone(),
        state: service.state.clone(),
        lines,
        words,
        more,
        next: advice(service, deaths, is_shown),
    }
}

/// What all of its processes together use.
fn uses(group: &Group) -> Vec<String> {
    let mut line = format!("All of its processes have used {} of CPU", span(group.cpu));
    if let Some(memory) = group.memory {
        line.push_str(&format!(" and have {} of memory", say::size(memory)));
    }
    if let Some(peak) = group.peak {
        line.push_str(&format!(" (at most {} so far)", say::size(peak)));
    }
    if let Some(pids) = group.pids {
        line.push_str(&format!("; there are {pids} of them, threads counted"));
    }
    line.push('.');
    let killed = group.killed;
    let killed = (killed > 0).then(|| format!("The kernel killed {killed} of them for memory."));
    [line].into_iter().chain(killed).collect()
}

/// What is wanted and what is so.
fn is_so(service: &Status) -> String {
    let since = service.since.map(|it| format!(" for {}", span(it))).unwrap_or_default();
    let pid = service.pid.map_or("its process".to_owned(), |pid| format!("process {pid}"));
    let next = |what: &str| match &service.next {
        Some((_, time)) => format!("; {what} in {}", span(*time)),
        None => String::new(),
    };
    let over = |what: &str| format!("{what}{}{}.", ago(&since), next("it is run again"));
    let signal = service.signal.as_ref().map_or("a signal".to_owned(), |it| format!("SIG{it}"));
    match State::read(&service.state) {
        Some(State::Up) => {
            let uptime = service.uptime.map_or(since.clone(), |it| format!(" for {}", span(it)));
            let next = next("it is restarted");
            format!("It is wanted up, and it has been up{uptime}, as {pid}{next}.")
        }
        Some(State::Starting) => {
            let what = how_far(service);
            format!("It is wanted up, and {what}{since}, as {pid}{}.", next(started(service)))
        }
        Some(State::Waiting) => {
            let whom = service.awaited().unwrap_or_else(|| "its turn".to_owned());
            format!("It is wanted up, and has been waiting for {whom}{since}.")
        }
        Some(State::Listening) => {
            format!("It has been listening{since}, and is started by the first connection.")
        }
        Some(State::Stopping) => {
            format!(
                "It has been stopping{since}: {pid} got {signal}{}.",
                next("the next signal comes")
            )
        }
        Some(State::Clearing) => format!(
            "Its main process is dead, but what it left behind is not: that got {signal}{}.",
            next("the next signal comes")
        ),
        Some(State::Finishing) => {
            format!("It has ended, and its finish has been running{since}{}.", next("it is killed"))
        }
        Some(State::Quarantined) => {
            format!(
                "It is wanted up, but has been in quarantine{since}{}.",
                next("the next try is")
            )
        }
        Some(State::Done) => over("It ended as it should"),
        Some(State::Failed) if service.is_refused => {
            "It has never been started: its file cannot be used.".to_owned()
        }
        Some(State::Failed) => over("It is wanted up, but was given up"),
        Some(State::Disabled) => "It is disabled: it stays down, also after a boot.".to_owned(),
        Some(State::Down) if service.is_wanted => {
            let unmet = |it| format!(": the condition {it} is not met");
            let why = service.unmet.as_ref().map(unmet).unwrap_or_default();
            format!("It is wanted up, but has been down{since}{why}.")
        }
        Some(State::Down) => format!("It is wanted down, and has been down{since}."),
        None => format!("It has been {}{since}.", service.state),
    }
}

/// Whether it is well, and what was wrong last.
fn health(service: &Status) -> Vec<String> {
    let now = match (service.health.as_deref(), service.failed) {
        (Some("ok"), _) => Some("It is well: its last health check passed.".to_owned()),
        (Some("failing"), Some((count, fails))) => {
            let checks = count_of(count, "health check");
            Some(format!("It is not well: {checks} in a row failed, of {fails} that are allowed."))
        }
        (Some(_), _) => Some("Whether it is well is not known yet.".to_owned()),
        (None, _) => None,
    };
    let ill = service.ill.as_ref();
    let ill = ill.map(|(it, ago)| format!("A health check failed {} ago: {it}", span(*ago)));
    now.into_iter().chain(ill).collect()
}

/// How far a start has come.
fn how_far(service: &Status) -> &'static str {
    match service.stage.as_deref() {
        Some("setup") => "its setup has been running",
        Some("unready") => "runs, but has not been ready",
        _ => "has been starting",
    }
}

/// What the end of a start will be.
fn started(service: &Status) -> &'static str {
    match &service.next {
        Some((next, _)) if next == "ready" => "it counts as up",
        _ => "going gives up",
    }
}

/// ` for 5m` of something that is over is ` 5m ago`.
fn ago(since: &str) -> String {
    since.strip_prefix(" for ").map(|time| format!(" {time} ago")).unwrap_or_default()
}

/// Whether the program ran, and what is told is why it was ended.
fn has_run(death: &Death) -> bool {
    matches!(death.strike.as_deref(), Some("health" | "unready" | "watchdog"))
}

/// How it died, a line each; those that are all alike only once.
fn ends(deaths: &[Death]) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, death) in deaths.iter().enumerate() {
        let when = match number {
            0 => "Last end",
            _ if death.is_first => "First of the row",
            _ => "Before that",
        };
        let how = match (&death.end, death.ordered) {
            (End::Fault(why), _) if has_run(death) => {
                format!("stopped after {}: {why}", span(death.ran))
            }
            (End::Fault(why), _) => format!("it could not be run: {why}"),
            (end, true) => format!("stopped by order after {}, {}", span(death.ran), ended(end)),
            (end, false) => format!("{} after {}", ended(end), span(death.ran)),
        };
        let strike = match death.strike.as_deref() {
            Some("short") => " (a strike: too short)",
            Some("burst") => " (a strike: too many deaths)",
            Some("fault") => " (a strike)",
            Some("work") => " (a strike: its work is not done)",
            Some("setup") => " (a strike: its setup failed)",
            Some("unready") => " (a strike: it was not ready)",
            Some("health") => " (a strike: it was not well)",
            Some("watchdog") => " (a strike: it hung)",
            Some(_) => " (a strike)",
            None => "",
        };
        lines.push(format!("{when}, {} ago: {how}{strike}.", span(death.ago)));
    }
    lines
}

fn strikes(service: &Status) -> String {
    let strikes = count(service.strikes, "strike");
    if service.is(State::Failed) {
        return format!("It had {strikes} in a row.");
    }
    let limit = service.key("strikes").filter(|limit| *limit != "0");
    let limit = limit.map(|limit| format!(", and is given up at {limit}")).unwrap_or_default();
    format!("It has {strikes} in a row{limit}.")
}

/// What to do next.
fn advice(service: &Status, deaths: &[Death], is_shown: bool) -> Vec<String> {
    let name = &service.name;
    let mut advice = Vec::new();
    let file = service.file.as_deref().unwrap_or("its file");
    if !service.complaints.is_empty() {
        advice.push(format!("Put {file} right; going sees it as soon as it is saved."));
    }
    let is_fault = deaths
        .first()
        .is_some_and(|it| matches!(it.end, End::Fault(_)) && !it.ordered && !has_run(it));
    match State::read(&service.state) {
        Some(State::Quarantined) if is_fault => {
            advice.push(format!("Put right what is missing, then: goingctl retry {name}"));
        }
        Some(State::Quarantined) => {
            advice.push(if is_shown {
                format!("See all that it wrote: goingctl log {name}")
            } else {
                "Look into its output for the reason.".to_owned()
            });
            advice.push(format!("Do not wait for the next try: goingctl retry {name}"));
        }
        Some(State::Failed) if !service.is_refused => {
            advice.push(format!("Try again: goingctl start {name}, or change {file}."));
        }
        Some(State::Waiting) => {
            advice.extend(service.waits_for.first().map(|(other, state)| match state.as_str() {
                "missing" => format!("Add {other}, or take it out of needs in {file}."),
                _ if other == name => format!("Take {name} out of needs in {file}: it is itself."),
                _ => format!("See why that is not ready: goingctl why {other}"),
            }));
        }
        Some(State::Disabled) => advice.push(format!("Let it run: goingctl enable {name}")),
        Some(State::Down) if service.unmet.is_some() => {
            advice.push(format!("See to that, then: goingctl start {name}"));
        }
        Some(State::Down) if !service.is_wanted => {
            advice.push(format!("Let it run: goingctl start {name}"));
        }
        Some(State::Stopping) => {
            advice.push(format!("Do not wait: goingctl signal KILL {name}"));
        }
        _ => {}
    }
    advice
}

impl Story {
    /// As it is shown.
    pub fn render(&self, style: Style) -> String {
        let name = style.paint(Paint::Strong, &self.name);
        let mut text = format!("{name}: {}\n", style.paint(paint(&self.state), &self.state));
        for line in &self.lines {
            text.push_str(&format!("  {line}\n"));
        }
        for line in &self.words {
            let mut shown = Vec::new();
            safe(line, style.has_color, &mut shown);
            text.push_str(&format!("    {}\n", String::from_utf8_lossy(&shown)));
        }
        for line in &self.more {
            text.push_str(&format!("  {line}\n"));
        }
        for line in &self.next {
            text.push_str(&format!("  {} {line}\n", style.paint(Paint::Strong, "=>")));
        }
        text
    }
}
