//! A rehearsal: the main process of a service is killed, or by order frozen, if somebody
//! would notice that it hangs, and what going makes of it is told: how long until
//! it knew, until something ran again, until that was up, and what was left behind.
//! It never touches more than that one process.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use clap::ArgMatches;
use serde_json::json;

use super::{Ending, Session, complain, judge, options, print};
use crate::client::reply::{Death, Outcome, Status};
use crate::client::say::{self, span};
use crate::client::{Client, Trouble, ask, json};
use crate::config::Signal;
use crate::config::words::read_duration;
use crate::protocol::{Command, Message, Request, State};
use crate::supervise::Moment;
use crate::sys;

/// Long enough for most to come back, even out of a quarantine.
const PATIENCE: Duration = Duration::from_secs(90);

/// What was started along with it has so long to be gone.
const SETTLING: Duration = Duration::from_millis(300);

const KILL: Signal = Signal(9);
const STOP: Signal = Signal(19);

/// A process, known by its number and when it was born.
type Process = (u64, u64);

/// What was measured.
#[derive(Default)]
struct Course {
    detected: Option<Duration>,
    running: Option<Duration>,
    ready: Option<Duration>,
    pid: Option<u64>,
    end: Option<Death>,
    /// What it waited for on the way, such as `quarantined`.
    detours: Vec<String>,
    state: String,
}

/// Performs it.
pub fn drill(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let place = session.place()?;
    let mut client = Client::connect(&place)?;
    let names = options::texts(matches, "name");
    let name = names.first().cloned().unwrap_or_default();
    let reply = client.ask(&Request { names, ..Request::new(Command::Why) })?;
    let ending = judge(&reply);
    let mut services = reply.blocks.iter().filter_map(Status::read);
    let (Some(service), None) = (services.next(), services.next()) else {
        if ending == Ending::Done {
            complain(&format!("{name} are several services; a drill is for one"));
        }
        return Ok(ending.max(Ending::Failed));
    };
    let Some(pid) = service.pid.filter(|_| service.is(State::Up)) else {
        complain(&format!("{} is {}; a drill is for what is up", service.name, service.state));
        return Ok(Ending::Failed);
    };
    let Some((signal, deed, patience)) = plan(matches, &service) else {
        return Ok(Ending::Failed);
    };
    if !options::has(matches, "yes") && !confirm(&service, pid, deed)? {
        return Ok(Ending::Failed);
    }
    let family = descendants(pid);
    let mut order = Request { names: vec![service.name.clone()], ..Request::new(Command::Signal) };
    order.signal = Some(signal);
    let mut events = Client::connect(&place)?;
    events.send(&Request { follow: true, ..Request::new(Command::Events) })?;
    // By the time it answers, it has both connections open.
    let going = figure(&client.ask(&Request::new(Command::Myself))?.blocks, "pid");
    let before = descriptors(going);
    let start = sys::monotonic();
    let answer = client.ask(&order)?;
    let outcomes: Vec<_> = answer.blocks.iter().filter_map(Outcome::read).collect();
    let ending = judge(&answer).max(super::act::tell_failures(&outcomes));
    if ending != Ending::Done {
        return Ok(ending);
    }
    let patience = options::value(matches, "timeout").unwrap_or(patience);
    let course = follow(&mut events, &service.name, start, patience)?;
    let (left, more) = settle(&family, || {
        descriptors(going).zip(before).map(|(after, before)| after.saturating_sub(before))
    });
    if session.is_json {
        print(&in_json(&service.name, deed, &course, &left, more))?;
    } else {
        print(&render(&service.name, (pid, deed), &course, &left, more))?;
    }
    let is_good = course.ready.is_some() && left.is_empty() && more.unwrap_or(0) == 0;
    // What is there now is asked for, for it may have died again right away.
    let names = vec![service.name];
    let now = ask(&place, &Request { names, ..Request::new(Command::Status) })?;
    let is_up = now.blocks.iter().filter_map(Status::read).all(|it| it.is(State::Up));
    Ok(if is_good && is_up { Ending::Done } else { Ending::Failed })
}

/// What is to be done to it, and how long it can take until it is back.
fn plan(matches: &ArgMatches, service: &Status) -> Option<(Signal, &'static str, Duration)> {
    if !options::has(matches, "freeze") {
        return Some((KILL, "killed", PATIENCE));
    }
    let noticed = notices_hanging(service);
    if noticed.is_none() {
        let name = &service.name;
        complain(&format!("nobody would notice that {name} hangs: it has no health= or watchdog="));
    }
    noticed.map(|after| (STOP, "frozen", PATIENCE.saturating_add(after)))
}

/// How long it takes at most until somebody notices that it does not answer any more;
/// nothing if nobody ever does.
fn notices_hanging(service: &Status) -> Option<Duration> {
    let time = |key| service.key(key).and_then(|it| read_duration(it).ok());
    let watchdog = time("watchdog").filter(|it| !it.is_zero());
    let has_health = service.key("health").is_some_and(|it| !it.is_empty());
    let health = has_health.then(|| {
        let once = time("health-every").into_iter().chain(time("health-timeout")).sum::<Duration>();
        let fails = service.key("health-fails").and_then(|it| it.parse().ok());
        // One that was asked when it was still well comes before them.
        once.saturating_mul(fails.unwrap_or(1_u32).saturating_add(1))
    });
    health.into_iter().chain(watchdog).min()
}

/// Asks whether it is meant.
fn confirm(service: &Status, pid: u64, deed: &str) -> Result<bool, Trouble> {
    if !io::stdin().is_terminal() {
        let name = &service.name;
        return Err(Trouble::Usage(format!("drill interrupts {name}; a script must say --yes")));
    }
    let name = &service.name;
    let up = service.uptime.map(|up| format!(", up {}", span(up))).unwrap_or_default();
    let question = format!("{name} (pid {pid}{up}) will be {deed}, and interrupted. Go on? [y/N] ");
    let failed = |error: io::Error| Trouble::Failed(sys::explain(&error));
    io::stderr().write_all(question.as_bytes()).map_err(failed)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    Ok(["y", "yes"].contains(&line.trim().to_lowercase().as_str()))
}

/// Hears what becomes of it, until it is up again or never will be.
fn follow(
    events: &mut Client,
    name: &str,
    start: Moment,
    patience: Duration,
) -> Result<Course, Trouble> {
    let mut course = Course { state: State::Up.word().to_owned(), ..Course::default() };
    loop {
        let waited = sys::monotonic().since(start);
        let left = patience.saturating_sub(waited);
        if left.is_zero() {
            return Ok(course);
        }
        let Some(event) = events.next(left)? else { continue };
        let state = event.get("state").and_then(State::read);
        let (true, Some(state)) = (event.get("service") == Some(name), state) else { continue };
        let at = sys::monotonic().since(start);
        course.take(&event, state, at);
        let is_over = matches!(state, State::Down | State::Done | State::Failed | State::Disabled);
        if course.ready.is_some() || is_over {
            return Ok(course);
        }
    }
}

impl Course {
    fn take(&mut self, event: &Message, state: State, at: Duration) {
        self.detected = self.detected.or(Some(at));
        self.end = self.end.take().or_else(|| Death::read(event, ""));
        self.state = state.word().to_owned();
        let is_running = matches!(state, State::Starting | State::Up);
        if is_running {
            self.running = self.running.or(Some(at));
            self.pid = event.number("pid").or(self.pid);
        }
        if state == State::Up {
            self.ready = Some(at);
        } else if !is_running && state != State::Waiting {
            self.detours.push(self.state.clone());
        }
    }
}

fn figure(blocks: &[Message], key: &str) -> Option<u64> {
    blocks.iter().find_map(|block| block.number(key))
}

/// How many descriptors a process has open, if we may know.
fn descriptors(pid: Option<u64>) -> Option<usize> {
    fs::read_dir(format!("/proc/{}/fd", pid?)).ok().map(Iterator::count)
}

/// Parent and birth of a process (proc_pid_stat(5)), unless it is dead.
fn look_at(pid: u64) -> Option<(u64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    Some((parent, fields.nth(17)?.parse().ok()?))
}

/// A process and all that descends from it.
fn descendants(pid: u64) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    let all: Vec<_> = pids.filter_map(|pid| look_at(pid).map(|it| (pid, it))).collect();
    let mut family = vec![pid];
    let mut index = 0;
    while let Some(&head) = family.get(index) {
        family.extend(all.iter().filter(|(_, (parent, _))| *parent == head).map(|(pid, _)| *pid));
        index += 1;
    }
    family.into_iter().filter_map(|pid| Some((pid, look_at(pid)?.1))).collect()
}

/// Who of the old family still lives, and what going has open beyond what it had,
/// when all have had time to go.
fn settle(family: &[Process], count: impl Fn() -> Option<usize>) -> (Vec<u64>, Option<usize>) {
    let start = sys::monotonic();
    loop {
        let is_left = |it: &&Process| look_at(it.0).is_some_and(|(_, born)| born == it.1);
        let left: Vec<_> = family.iter().filter(is_left).map(|it| it.0).collect();
        let more = count();
        let is_over = sys::monotonic().since(start) >= SETTLING;
        if is_over || left.is_empty() && more.unwrap_or(0) == 0 {
            return (left, more);
        }
        let _ = nix::poll::poll(&mut [], 20_u8);
    }
}

/// Milliseconds are what it is measured in.
fn short(time: Duration) -> String {
    if time.is_zero() { "less than 1ms".to_owned() } else { span(time) }
}

fn render(
    name: &str,
    (pid, deed): (u64, &str),
    course: &Course,
    left: &[u64],
    more: Option<usize>,
) -> String {
    let mut text = format!("{name}: pid {pid} {deed}\n");
    let mut add = |what: &str, value: String| text.push_str(&format!("  {what:<15} {value}\n"));
    let when = |time: Option<Duration>| {
        time.map_or("never".to_owned(), |it| format!("after {}", short(it)))
    };
    let death = course.end.as_ref().map(|end| format!(" ({})", say::ended(&end.end)));
    add("detected", when(course.detected) + &death.unwrap_or_default());
    if !course.detours.is_empty() {
        add("on the way", course.detours.join(", "));
    }
    add("running again", when(course.running));
    let pid = course.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    match course.ready {
        Some(_) => add("up again", when(course.ready) + &pid),
        None => add("up again", format!("not yet, it is {}", course.state)),
    }
    let pids: Vec<_> = left.iter().map(u64::to_string).collect();
    let processes = if left.is_empty() { "none".to_owned() } else { pids.join(" ") };
    add("left behind", processes);
    if let Some(more) = more {
        add("leaked by going", say::count(u64::try_from(more).unwrap_or(0), "descriptor"));
    }
    text
}

fn in_json(name: &str, deed: &str, course: &Course, left: &[u64], more: Option<usize>) -> String {
    let millis = |time: Option<Duration>| json!(time.map(|it| it.as_millis()));
    json::figures(&[
        ("service", name.into()),
        ("deed", deed.into()),
        ("detected-ms", millis(course.detected)),
        ("running-ms", millis(course.running)),
        ("up-ms", millis(course.ready)),
        ("state", course.state.as_str().into()),
        ("on-the-way", json!(course.detours)),
        ("pid", json!(course.pid)),
        ("left", json!(left)),
        ("descriptors-leaked", json!(more)),
    ])
}
