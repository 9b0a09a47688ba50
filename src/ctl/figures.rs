//! `goingctl self`: what going itself uses, beside what it was promised to use
//! at most.

use std::time::Duration;

use serde_json::json;

use super::screen::{Paint, Style};
use super::{Ending, Session, judge, print};
use crate::client::say::span;
use crate::client::{Trouble, json, usage};
use crate::protocol::{Command, Message, Request};

/// Figures of one going, in kB where they are of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// What it answered.
    pub answer: Message,
    /// The most address space it ever had.
    pub peak: Option<u64>,
    /// What it has in RAM.
    pub resident: Option<u64>,
    /// Of that, what nobody shares.
    pub private: Option<u64>,
    /// How often it gave the CPU back, or lost it: each wake-up is one.
    pub switches: Option<u64>,
}

/// Performs it.
pub fn figures(session: &Session) -> Result<Ending, Trouble> {
    let reply = session.ask(&Request::new(Command::Myself))?;
    if let Some(answer) = reply.blocks.iter().find(|block| block.get("pid").is_some()) {
        let mut figures = measure(answer);
        if answer.get("serial").is_none() {
            figures.answer.add("serial", &reply.serial.to_string());
        }
        print(&if session.is_json { in_json(&figures) } else { render(&figures, session.style) })?;
    }
    Ok(judge(&reply))
}

fn measure(answer: &Message) -> Figures {
    let field = |file, name| usage::field(answer.number("pid")?, file, name);
    let sum = |file, one, other| Some(field(file, one)?.saturating_add(field(file, other)?));
    Figures {
        answer: answer.clone(),
        peak: field("status", "VmPeak"),
        resident: field("status", "VmRSS"),
        // What it wrote to; its program, read from a file, can be dropped and
        // read again (proc_pid_smaps(5)).
        private: field("smaps_rollup", "Anonymous"),
        switches: sum("status", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"),
    }
}

/// In kB: 1024 up to 50 services, and 2048 with 1000.
fn peak_budget(services: u64) -> u64 {
    1024_u64.saturating_add(services.saturating_sub(50).saturating_mul(1024) / 950)
}

/// In kB: 150 up to 100 services, and half a kB for each further one.
fn private_budget(services: u64) -> u64 {
    150_u64.saturating_add(services.saturating_sub(100) / 2)
}

/// The figures, a line each.
pub fn render(figures: &Figures, style: Style) -> String {
    let answer = &figures.answer;
    let word = |key: &str| answer.get(key).unwrap_or("-").to_owned();
    let uptime = answer.number("uptime-ms").map(Duration::from_millis);
    let services = answer.number("services").unwrap_or(0);
    let mut text = format!(
        "going {}, pid {}, up {}\n",
        word("version"),
        word("pid"),
        uptime.map_or("-".to_owned(), span)
    );
    let mut line = |what: &str, value: String| text.push_str(&format!("  {what:<24}{value}\n"));
    line("service files", word("directory"));
    line("run directory", word("run-directory"));
    line("services", format!("{services}, {} alive", word("alive")));
    line("clients", word("clients"));
    line("events so far", word("serial"));
    line("peak of address space", held(figures.peak, peak_budget(services), style));
    line("in RAM", figures.resident.map_or("-".to_owned(), |kb| format!("{kb} kB")));
    line(
        "private",
        match figures.private {
            None => "- (only root and its own user can see that)".to_owned(),
            private => held(private, private_budget(services), style),
        },
    );
    line("private per service", per_service(figures.private, services));
    line("turns of its loop", rate(answer.number("turns"), uptime));
    line("context switches", rate(figures.switches, uptime));
    text
}

/// `796 kB of 1024 kB`, and whether that is kept.
fn held(kb: Option<u64>, budget: u64, style: Style) -> String {
    let Some(kb) = kb else { return "-".to_owned() };
    let verdict = match kb <= budget {
        true => style.paint(Paint::Good, "kept"),
        false => style.paint(Paint::Bad, "broken"),
    };
    format!("{kb} kB of {budget} kB: {verdict}")
}

fn per_service(private: Option<u64>, services: u64) -> String {
    match private.and_then(|kb| kb.saturating_mul(100).checked_div(services)) {
        Some(hundredths) => format!("{}.{:02} kB", hundredths / 100, hundredths % 100),
        None => "-".to_owned(),
    }
}

/// How often, and how often in an hour.
fn rate(count: Option<u64>, uptime: Option<Duration>) -> String {
    let Some(count) = count else { return "-".to_owned() };
    let millis = uptime.and_then(|it| u64::try_from(it.as_millis()).ok()).unwrap_or(0);
    match count.saturating_mul(3_600_000).checked_div(millis) {
        // An hour must be over before one can speak of it.
        Some(hourly) if millis >= 3_600_000 => format!("{count}, {hourly} an hour"),
        _ => count.to_string(),
    }
}

/// The figures as an object.
fn in_json(figures: &Figures) -> String {
    let services = figures.answer.number("services").unwrap_or(0);
    let mut pairs: Vec<(&str, serde_json::Value)> = Vec::new();
    for (key, value) in figures.answer.pairs() {
        let number = value.parse::<u64>().ok().filter(|_| key != "version");
        pairs.push((key, number.map_or(json!(value), |number| json!(number))));
    }
    pairs.extend([
        ("vm-peak-kb", json!(figures.peak)),
        ("vm-peak-budget-kb", json!(peak_budget(services))),
        ("vm-rss-kb", json!(figures.resident)),
        ("private-kb", json!(figures.private)),
        ("private-budget-kb", json!(private_budget(services))),
        ("context-switches", json!(figures.switches)),
    ]);
    json::figures(&pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_those_that_were_promised() {
        assert_eq!([0, 50, 1000].map(peak_budget), [1024, 1024, 2048]);
        assert_eq!([0, 100, 101, 1000].map(private_budget), [150, 150, 150, 600]);
    }

    #[test]
    fn rates_are_told_when_an_hour_is_over() {
        let hours = |count: u64| Some(Duration::from_secs(3600 * count));
        assert_eq!(rate(Some(100), hours(2)), "100, 50 an hour");
        assert_eq!(rate(Some(100), Some(Duration::from_secs(1))), "100");
        assert_eq!(rate(None, hours(1)), "-");
    }
}
