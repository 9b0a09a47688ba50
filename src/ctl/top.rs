//! `goingctl top`: who uses the most, drawn anew every second or two.

use std::cmp::Reverse;
use std::time::Duration;

use super::screen::{Paint, Screen, Style, Wake};
use super::status::{headline, paint};
use super::{Ending, Session};
use crate::client::reply::Status;
use crate::client::say::{percent, size, span};
use crate::client::usage::{Row, measured};
use crate::client::{self, Trouble};
use crate::protocol::{Command, Request};
use crate::sys;

/// Shorter and the picture itself would be what uses the CPU.
const EVERY: Duration = Duration::from_secs(2);

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Whoever uses the most CPU now.
    Cpu,
    /// Whoever has the most memory.
    Memory,
    /// By name.
    Name,
}

/// Performs it.
pub fn top(session: &Session) -> Result<Ending, Trouble> {
    let place = session.place()?;
    let request = Request::new(Command::Status);
    let look = || -> Result<Vec<Row>, Trouble> {
        let reply = client::ask(&place, &request)?;
        Ok(measured(reply.blocks.iter().filter_map(Status::read).collect()))
    };
    let mut before: Vec<Row> = Vec::new();
    let mut order = Order::Cpu;
    let mut rows = look()?;
    let (mut drawn_at, mut passed) = (sys::monotonic(), Duration::ZERO);
    let screen = Screen::new("top")?;
    loop {
        let text = render(&rows, &before, passed, order, session.style);
        match screen.show(&text, EVERY)? {
            Wake::End | Wake::Key(b'q') => return Ok(Ending::Done),
            Wake::Key(b'c') => order = Order::Cpu,
            Wake::Key(b'm') => order = Order::Memory,
            Wake::Key(b'n') => order = Order::Name,
            Wake::Resized | Wake::Key(_) => {}
            Wake::Time => {
                before = std::mem::replace(&mut rows, look()?);
                let now = sys::monotonic();
                passed = now.since(drawn_at);
                drawn_at = now;
            }
        }
    }
}

/// CPU time since the picture before; since its fork, for a process that is new
/// in this one.
fn spent(row: &Row, before: &[Row], passed: Duration) -> (Duration, Duration) {
    let (service, Some(usage)) = row else { return (Duration::ZERO, passed) };
    let same = |it: &&Row| it.0.pid == service.pid && it.0.name == service.name;
    match before.iter().find(same).and_then(|it| it.1) {
        Some(old) => (usage.cpu.saturating_sub(old.cpu), passed),
        None => (usage.cpu, service.uptime.unwrap_or_default()),
    }
}

/// The picture.
pub fn render(
    rows: &[Row],
    before: &[Row],
    passed: Duration,
    order: Order,
    style: Style,
) -> String {
    let services: Vec<Status> = rows.iter().map(|row| row.0.clone()).collect();
    let mut text = headline(&services, style);
    let mut lines: Vec<(&Row, Duration, Duration)> = rows
        .iter()
        .map(|row| {
            let (cpu, time) = spent(row, before, passed);
            (row, cpu, time)
        })
        .collect();
    // Thousandths of one CPU, so that different times can be compared.
    let share = |cpu: Duration, time: Duration| {
        cpu.as_micros().saturating_mul(1000).checked_div(time.as_micros()).unwrap_or(0)
    };
    let memory = |row: &Row| row.1.map_or(0, |usage| usage.memory);
    match order {
        Order::Cpu => {
            lines.sort_by_key(|(row, cpu, time)| Reverse((share(*cpu, *time), memory(row))))
        }
        Order::Memory => lines.sort_by_key(|(row, ..)| Reverse(memory(row))),
        Order::Name => {}
    }
    let total: u64 = rows.iter().map(memory).sum();
    let width = rows.iter().map(|row| row.0.name.len()).max().unwrap_or(0).max(4);
    text.push_str(&format!(
        "Memory of all: {}. c, m, n: by CPU, memory, name; q: end\n\n",
        size(total)
    ));
    let title = format!(
        "{:<width$}  {:>7}  {:>7}  {:>9}  {:>7}  STATE",
        "NAME", "CPU", "MEMORY", "UPTIME", "PID"
    );
    text.push_str(&style.paint(Paint::Faint, &title));
    text.push('\n');
    for (row, cpu, time) in lines {
        let (service, usage) = row;
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        text.push_str(&format!(
            "{:<width$}  {:>7}  {:>7}  {:>9}  {:>7}  {}\n",
            service.name,
            or_none(usage.map(|_| percent(cpu, time))),
            or_none(usage.map(|usage| size(usage.memory))),
            or_none(service.uptime.map(span)),
            or_none(service.pid.map(|pid| pid.to_string())),
            style.paint(paint(&service.state), &service.state),
        ));
    }
    text
}
