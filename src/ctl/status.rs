//! `goingctl status`: a line for each service, and below them what is wrong with
//! their files.

use std::borrow::Cow;
use std::iter;
use std::time::Duration;

use clap::ArgMatches;

use super::screen::{Paint, Screen, Style, Wake};
use super::{Ending, Session, judge, options, print, request};
use crate::client::reply::Status;
use crate::client::say;
use crate::client::usage::{Row, Usage, measure, measured, used};
use crate::client::{self, Client, Trouble, json};
use crate::protocol::{Command, Request, State};

/// How often a screen is drawn anew: countdowns are in seconds.
const EVERY: Duration = Duration::from_secs(1);

/// Performs it.
pub fn status(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let request = request(Command::Status, matches);
    if options::has(matches, "watch") {
        if session.is_json {
            return Err(Trouble::Usage("what is watched is not in JSON".to_owned()));
        }
        return watch(session, &request);
    }
    let mut rows = Vec::new();
    let reply = Client::connect(&session.place()?)?.ask_each(&request, |block| {
        let service = Status::read(&block);
        let is_kept = service.is_none() || session.is_json;
        rows.extend(service.map(measure));
        is_kept.then_some(block)
    })?;
    if session.is_json {
        print(&json::status(&reply, &used(&rows)))?;
    } else if !rows.is_empty() {
        print(&render(&rows, session.style))?;
    } else if request.names.is_empty() {
        print("no services\n")?;
    }
    let ending = judge(&reply);
    let is_down = rows.iter().any(|(service, _)| service.pid.is_none());
    if ending == Ending::Done && !request.names.is_empty() && is_down {
        return Ok(Ending::NotRunning);
    }
    Ok(ending)
}

fn watch(session: &Session, request: &Request) -> Result<Ending, Trouble> {
    let place = session.place()?;
    // Before the screen is taken: an error is to be seen.
    let mut reply = client::ask(&place, request)?;
    let screen = Screen::new("status --watch")?;
    loop {
        let services: Vec<Status> = reply.blocks.iter().filter_map(Status::read).collect();
        let mut text = headline(&services, session.style);
        text.push_str(&render(&measured(services), session.style));
        for stranger in reply.strangers() {
            text.push_str(&format!("\n{}\n", stranger.sentence()));
        }
        match screen.show(&text, EVERY)? {
            Wake::End | Wake::Key(b'q') => return Ok(Ending::Done),
            Wake::Time | Wake::Resized | Wake::Key(_) => {}
        }
        reply = client::ask(&place, request)?;
    }
}

/// How many there are of each kind.
pub fn headline(services: &[Status], style: Style) -> String {
    let mut parts = Vec::new();
    for state in State::ALL {
        let count = services.iter().filter(|service| service.is(state)).count();
        if count > 0 {
            parts.push(style.paint(paint(state.word()), &format!("{count} {}", state.word())));
        }
    }
    let count = say::count(u64::try_from(services.len()).unwrap_or(0), "service");
    format!("{count}: {}\n\n", parts.join(", "))
}

/// The color of a state.
pub fn paint(state: &str) -> Paint {
    match State::read(state) {
        Some(State::Up | State::Done | State::Listening) => Paint::Good,
        Some(
            State::Waiting | State::Starting | State::Stopping | State::Clearing | State::Finishing,
        ) => Paint::Busy,
        Some(State::Quarantined | State::Failed) => Paint::Bad,
        Some(State::Down | State::Disabled) | None => Paint::Faint,
    }
}

const TITLES: [&str; 9] =
    ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "MEMORY", "CPU", "NEXT", "LAST END"];

/// Where the state stands, which has a color, and where the next event does,
/// which is left out if none has one.
const STATE: usize = 1;
const NEXT: usize = 7;

/// A line of the table. Most cells are there already, in some form or other.
type Cells<'a> = [Cow<'a, str>; TITLES.len()];

/// Shows services as a table.
pub fn render(rows: &[Row], style: Style) -> String {
    let is_to_come = |it: &Status| it.next.is_some() || !it.waits_for.is_empty();
    let has_next = rows.iter().any(|(service, _)| is_to_come(service));
    let mut lines: Vec<Cells> = Vec::with_capacity(rows.len() + 1);
    lines.push(TITLES.map(Cow::from));
    lines.extend(rows.iter().map(|(service, usage)| cells(service, *usage)));
    let mut widths = [0; TITLES.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.len().max(*width);
        }
    }
    let width: usize = widths.iter().map(|width| width + 2).sum();
    let mut text = String::with_capacity((width + 1) * lines.len());
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            match (number, column) {
                (_, NEXT) if !has_next => continue,
                (0, _) => text.push_str(&style.paint(Paint::Faint, cell)),
                (_, STATE) => text.push_str(&style.paint(paint_cell(cell), cell)),
                _ => text.push_str(cell),
            }
            text.extend(iter::repeat_n(' ', width + 2 - cell.len()));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text.push_str(&words(rows));
    text.push_str(&complaints(rows, style));
    text
}

fn cells(service: &Status, usage: Option<Usage>) -> Cells<'_> {
    let or_none = |text: Option<String>| text.map_or(Cow::Borrowed("-"), Cow::Owned);
    let restarts = service.starts.saturating_sub(1);
    let coming = service.next.as_ref().map(|(next, time)| say::coming(next, *time));
    let awaited = service.awaited().map(|whom| format!("waits for {whom}"));
    let share = usage.zip(service.uptime).map(|(usage, up)| say::percent(usage.cpu, up));
    [
        service.name.as_str().into(),
        state(service),
        or_none(service.pid.map(|pid| pid.to_string())),
        or_none(service.uptime.map(say::span)),
        restarts.to_string().into(),
        or_none(usage.map(|usage| say::size(usage.memory))),
        or_none(share),
        or_none(coming.or(awaited)),
        or_none(service.last.as_ref().map(say::death)),
    ]
}

/// How it is, and that it is not well.
fn state(service: &Status) -> Cow<'_, str> {
    match service.failed {
        Some((count, fails)) => format!("{} (ill {count}/{fails})", service.state).into(),
        None => service.state.as_str().into(),
    }
}

fn paint_cell(cell: &str) -> Paint {
    if cell.contains(' ') { Paint::Bad } else { paint(cell) }
}

/// What services say of themselves, below the table.
fn words(rows: &[Row]) -> String {
    let says = |it: &Status| it.says().map(|says| format!("{} says: {says}\n", it.name));
    let text: String = rows.iter().filter_map(|(service, _)| says(service)).collect();
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// What is wrong with files, below the table.
fn complaints(rows: &[Row], style: Style) -> String {
    let mut text = String::new();
    for (service, _) in rows {
        for complaint in &service.complaints {
            text.push_str(&format!("{}\n", style.paint(Paint::Bad, complaint)));
        }
        if !service.complaints.is_empty() {
            let kept = if service.is_refused { "is not started" } else { "is kept as it was" };
            text.push_str(&format!("  {} {kept} until this is put right\n", service.name));
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}
