//! Services as supervisor shows processes.

use std::time::Duration;

use dxr::{Fault, Value};

use super::fault::{Code, fault, troubled};
pub use crate::client::process::Process;
use crate::client::reply::{End, Status};
use crate::client::{self, Reply};
use crate::protocol::{Command, Message, Request};
use crate::sys::pipes::local_offset;
use crate::web::Web;

/// Asks for the status of services; of all with no name.
pub fn ask(web: &Web, names: Vec<String>) -> Result<Reply, Fault> {
    let request = Request { names, ..Request::new(Command::Status) };
    client::ask(&web.place, &request).map_err(|trouble| troubled(&trouble))
}

/// A service by supervisor's name of a process, `NAME` or `GROUP:NAME`, where
/// a group is the service itself or one of its tags.
pub fn find(web: &Web, name: &str) -> Result<(Message, Status), Fault> {
    let unknown = || fault(Code::BadName, name);
    let is_plain = |it: &str| !it.is_empty() && !it.contains(['*', '?', '[', ']']);
    for wanted in [Some(name), name.rsplit_once(':').map(|(_, name)| name)].into_iter().flatten() {
        if !is_plain(wanted) || wanted.starts_with('@') {
            continue;
        }
        let reply = ask(web, vec![wanted.to_owned()])?;
        let block = reply.blocks.into_iter().find(|it| it.get("service") == Some(wanted));
        if let Some(found) = block.and_then(|block| Some((block.clone(), Status::read(&block)?))) {
            return Ok(found);
        }
    }
    Err(unknown())
}

/// The services of a group: one service, or all with a tag.
pub fn group(web: &Web, name: &str) -> Result<Vec<Status>, Fault> {
    let mut found = Vec::new();
    for wanted in [name.to_owned(), format!("@{name}")] {
        if found.is_empty() && !name.contains(['*', '?', '[', ']']) {
            let reply = ask(web, vec![wanted])?;
            found = reply.blocks.iter().filter_map(Status::read).collect();
        }
    }
    if found.is_empty() { Err(fault(Code::BadName, name)) } else { Ok(found) }
}

/// All services that were put there by somebody: the one which writes the logs of
/// the others is not stopped along with them.
pub fn all(web: &Web) -> Result<Vec<Status>, Fault> {
    let reply = ask(web, Vec::new())?;
    let services = reply.blocks.iter().filter_map(Status::read);
    Ok(services.filter(|it| it.name != "going-log").collect())
}

/// Seconds since 1970, as far as supervisor's numbers go.
#[expect(clippy::disallowed_methods, reason = "shown to people, and nothing depends on it")]
pub fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

fn number(number: u64) -> Value {
    Value::Integer(i32::try_from(number).unwrap_or(i32::MAX))
}

/// What getProcessInfo tells of a service.
pub fn value(block: &Message, service: &Status, now: u64) -> Value {
    let process = Process::of(&service.state);
    let ago = |span: Duration| now.saturating_sub(span.as_secs());
    let last = service.last.as_ref();
    let stopped = last.map_or(0, |death| ago(death.ago));
    let started = match (service.uptime, last) {
        (Some(uptime), _) => ago(uptime),
        (None, Some(death)) => stopped.saturating_sub(death.ran.as_secs()),
        (None, None) => 0,
    };
    let log = |key: &str| Value::String(block.get(key).unwrap_or_default().to_owned());
    let text = |text: &str| Value::String(text.to_owned());
    let status = match last.map(|death| &death.end) {
        Some(End::Exit(status)) => i32::try_from(*status).unwrap_or(-1),
        Some(_) => -1,
        None => 0,
    };
    let spawnerr = spawn_error(service, process);
    let fields = [
        ("name", text(&service.name)),
        ("group", text(&service.name)),
        ("start", number(started)),
        ("stop", number(stopped)),
        ("now", number(now)),
        ("state", Value::Integer(process as i32)),
        ("statename", text(process.name())),
        ("spawnerr", text(&spawnerr)),
        ("exitstatus", Value::Integer(status)),
        ("logfile", log("log")),
        ("stdout_logfile", log("log")),
        ("stderr_logfile", log("log-stderr")),
        ("pid", number(service.pid.unwrap_or(0))),
        ("description", Value::String(description(service, process, stopped, &spawnerr))),
    ];
    Value::Struct(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Why it is not up although it should be.
fn spawn_error(service: &Status, process: Process) -> String {
    if !matches!(process, Process::Fatal | Process::Backoff) {
        return String::new();
    }
    match service.last.as_ref().map(|death| &death.end) {
        Some(End::Fault(why)) => why.clone(),
        Some(_) => "Exited too quickly (process log may have details)".to_owned(),
        None => service.complaints.first().cloned().unwrap_or_default(),
    }
}

fn description(service: &Status, process: Process, stopped: u64, spawnerr: &str) -> String {
    match process {
        Process::Running => {
            let uptime = service.uptime.unwrap_or_default().as_secs();
            let (days, hours) = (uptime / 86400, uptime / 3600 % 24);
            let days = match days {
                0 => String::new(),
                1 => "1 day, ".to_owned(),
                days => format!("{days} days, "),
            };
            let (minutes, seconds) = (uptime / 60 % 60, uptime % 60);
            let pid = service.pid.unwrap_or(0);
            format!("pid {pid}, uptime {days}{hours}:{minutes:02}:{seconds:02}")
        }
        Process::Fatal | Process::Backoff if spawnerr.is_empty() => {
            format!("unknown error (try \"tail {}\")", service.name)
        }
        Process::Fatal | Process::Backoff => spawnerr.to_owned(),
        Process::Stopped | Process::Exited if stopped == 0 => "Not started".to_owned(),
        Process::Stopped | Process::Exited => clock(stopped),
        Process::Starting | Process::Stopping | Process::Unknown => String::new(),
    }
}

/// A moment as `Nov 21 03:42 AM`, in local time.
fn clock(seconds: u64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let offset = local_offset(i64::try_from(seconds).unwrap_or(0));
    let local = seconds.saturating_add_signed(offset);
    let text = client::say::moment(local.saturating_mul(1000));
    // As 2026-11-21T03:42:10.000Z
    let part = |from: usize, to: usize| text.get(from..to).and_then(|it| it.parse::<usize>().ok());
    let (month, day) = (part(5, 7).unwrap_or(1), part(8, 10).unwrap_or(1));
    let (hour, minute) = (part(11, 13).unwrap_or(0), part(14, 16).unwrap_or(0));
    let month = MONTHS.get(month.saturating_sub(1)).copied().unwrap_or_default();
    let half = if hour < 12 { "AM" } else { "PM" };
    let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
    format!("{month} {day:02} {hour:02}:{minute:02} {half}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &str, key: &str) -> Value {
        let block = Message::parse(lines.as_bytes()).unwrap();
        let Value::Struct(fields) = value(&block, &Status::read(&block).unwrap(), 1_000_000) else {
            panic!()
        };
        fields[key].clone()
    }

    #[test]
    fn what_runs_is_described_as_supervisor_does() {
        let up = "service=web\nstate=up\nwant=up\npid=812\nuptime-ms=90061000\nstarts=1\n";
        let text = |key| shown(up, key);
        assert_eq!(text("statename"), Value::String("RUNNING".into()));
        let description = "pid 812, uptime 1 day, 1:01:01";
        assert_eq!(text("description"), Value::String(description.into()));
        assert_eq!(text("start"), Value::Integer(1_000_000 - 90_061));
    }

    #[test]
    fn what_crashes_tells_why() {
        let dead = "service=web\nstate=quarantined\nwant=up\nlast-exit=3\nlast-ran-ms=5000\n\
            last-ago-ms=10000\n";
        assert_eq!(shown(dead, "state"), Value::Integer(30));
        assert_eq!(shown(dead, "exitstatus"), Value::Integer(3));
        assert_eq!(shown(dead, "stop"), Value::Integer(999_990));
        assert_eq!(shown(dead, "start"), Value::Integer(999_985));
        let Value::String(why) = shown(dead, "spawnerr") else { panic!() };
        assert!(why.starts_with("Exited too quickly"));
        let down = "service=web\nstate=down\nwant=down\n";
        assert_eq!(shown(down, "description"), Value::String("Not started".into()));
        assert_eq!(shown("service=web\nstate=odd\nwant=up\n", "state"), Value::Integer(1000));
    }
}
