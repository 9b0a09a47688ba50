//! Figures as text in the format of OpenMetrics. It keeps to what the older text
//! format of Prometheus has in common with it, because that is what
//! node_exporter reads from files.

use std::time::Duration;

use super::reply::{End, Status};
use super::usage::{self, Row, measured};
use super::{Place, Reply, Trouble, ask};
use crate::config::signals::read_signal;
use crate::protocol::{Command, Message, Request, State};

/// Asks going for all of them.
///
/// # Errors
/// There is no answer.
pub fn collect(place: &Place) -> Result<String, Trouble> {
    let (own, services): (Reply, Reply) =
        (ask(place, &Request::new(Command::Myself))?, ask(place, &Request::new(Command::Status))?);
    let rows = measured(services.blocks.iter().filter_map(Status::read).collect());
    let mut answer = own.blocks.first().cloned().unwrap_or_default();
    answer.add("serial", &own.serial.to_string());
    Ok(render(Some(&answer), &rows))
}

/// Families of figures as they are written.
struct Page {
    text: String,
}

impl Page {
    /// Begins a family. A counter's samples have `_total` at their end.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.text.push_str(&format!("# TYPE {name} {kind}\n"));
        let units = ["seconds", "bytes"].into_iter();
        for unit in units.filter(|unit| name.ends_with(&format!("_{unit}"))) {
            self.text.push_str(&format!("# UNIT {name} {unit}\n"));
        }
        self.text.push_str(&format!("# HELP {name} {help}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.text.push_str(name);
        for (number, (label, value)) in labels.iter().enumerate() {
            let open = if number == 0 { '{' } else { ',' };
            self.text.push_str(&format!("{open}{label}=\"{}\"", escaped(value)));
        }
        self.text.push_str(if labels.is_empty() { "" } else { "}" });
        self.text.push_str(&format!(" {value}\n"));
    }

    /// A family of one figure, if there is one.
    fn single(&mut self, name: &str, help: &str, value: Option<String>) {
        if let Some(value) = value {
            self.family(name, "gauge", help);
            self.sample(name, &[], &value);
        }
    }

    /// A family with one figure for each service that has it.
    fn each(
        &mut self,
        name: &str,
        help: &str,
        rows: &[Row],
        value: impl Fn(&Row) -> Option<String>,
    ) {
        self.family(name, "gauge", help);
        self.samples(name, rows, value);
    }

    fn samples(&mut self, name: &str, rows: &[Row], value: impl Fn(&Row) -> Option<String>) {
        for row in rows {
            if let Some(value) = value(row) {
                self.sample(name, &[("service", &row.0.name)], &value);
            }
        }
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

fn truth(is_so: bool) -> Option<String> {
    Some(u8::from(is_so).to_string())
}

/// All figures; of going, if it answered.
pub fn render(own: Option<&Message>, rows: &[Row]) -> String {
    let mut page = Page { text: String::new() };
    page.single("going_up", "Whether going answered.", truth(own.is_some()));
    if let Some(own) = own {
        render_own(&mut page, own);
        render_services(&mut page, rows);
    }
    page.text.push_str("# EOF\n");
    page.text
}

fn render_own(page: &mut Page, own: &Message) {
    let number = |key: &str| own.number(key).map(|number| number.to_string());
    page.family("going_version", "gauge", "Its version, as a label.");
    page.sample("going_version", &[("version", own.get("version").unwrap_or(""))], "1");
    let uptime = own.number("uptime-ms").map(|millis| seconds(Duration::from_millis(millis)));
    page.single("going_uptime_seconds", "How long it has been running.", uptime);
    page.single("going_services", "Services it knows.", number("services"));
    page.single("going_services_alive", "Services with a process.", number("alive"));
    page.single("going_clients", "Open connections to it.", number("clients"));
    let kb = |name| {
        let kb = usage::field(own.number("pid")?, "status", name)?;
        Some(kb.saturating_mul(1024).to_string())
    };
    page.single("going_memory_peak_bytes", "The most address space it ever had.", kb("VmPeak"));
    page.single("going_memory_resident_bytes", "What it has in RAM.", kb("VmRSS"));
    let counters = [
        ("going_turns", "turns", "Turns of its loop."),
        ("going_events", "serial", "Events of all services."),
    ];
    for (name, key, help) in counters {
        if let Some(value) = number(key) {
            page.family(name, "counter", help);
            page.sample(&format!("{name}_total"), &[], &value);
        }
    }
}

fn render_services(page: &mut Page, rows: &[Row]) {
    page.each("going_service_wanted", "Whether it is wanted up.", rows, |(service, _)| {
        truth(service.is_wanted)
    });
    page.each("going_service_up", "Whether it is up.", rows, |(service, _)| {
        truth(service.is(State::Up))
    });
    page.family("going_service_state", "gauge", "Whether it is in this state.");
    for (service, _) in rows {
        for state in State::ALL {
            let labels = [("service", service.name.as_str()), ("state", state.word())];
            let value = u8::from(service.is(state)).to_string();
            page.sample("going_service_state", &labels, &value);
        }
    }
    page.family("going_service_starts", "counter", "How often its program was run.");
    page.samples("going_service_starts_total", rows, |(service, _)| {
        Some(service.starts.to_string())
    });
    page.each("going_service_strikes", "Strikes in a row.", rows, |(service, _)| {
        Some(service.strikes.to_string())
    });
    page.each("going_service_complaints", "What is wrong with its file.", rows, |(service, _)| {
        Some(service.complaints.len().to_string())
    });
    page.each("going_service_uptime_seconds", "Since it was forked.", rows, |(service, _)| {
        service.uptime.map(seconds)
    });
    let help = "When something happens to it by itself.";
    page.each("going_service_next_seconds", help, rows, |(service, _)| {
        service.next.as_ref().map(|(_, time)| seconds(*time))
    });
    let help = "Left of its quarantine.";
    page.each("going_service_quarantine_seconds", help, rows, |(service, _)| {
        let is_held = service.is(State::Quarantined);
        service.next.as_ref().filter(|_| is_held).map(|(_, time)| seconds(*time))
    });
    let help = "With what its last run exited; 128 and the number of the signal that killed it.";
    page.each("going_service_exit_code", help, rows, |(service, _)| {
        match &service.last.as_ref()?.end {
            End::Exit(status) => Some(status.to_string()),
            End::Signal { name, .. } => Some((128 + u16::from(read_signal(name)?.0)).to_string()),
            // By KILL.
            End::Memory => Some("137".to_owned()),
            End::Unknown | End::Fault(_) => None,
        }
    });
    let help = "What its main process has in RAM.";
    page.each("going_service_memory_bytes", help, rows, |(_, usage)| {
        usage.map(|usage| usage.memory.to_string())
    });
    page.family("going_service_cpu_seconds", "counter", "CPU time of its main process.");
    page.samples("going_service_cpu_seconds_total", rows, |(_, usage)| {
        usage.map(|usage| seconds(usage.cpu))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out_of_their_quotes() {
        let mut page = Page { text: String::new() };
        page.sample("x", &[("a", "1\"\\\n"), ("b", "2")], "3");
        assert_eq!(page.text, "x{a=\"1\\\"\\\\\\n\",b=\"2\"} 3\n");
    }

    #[test]
    fn deaths_are_told_as_shells_do() {
        let told = |end: &str| {
            let block = format!("service=a\nstate=quarantined\nnext=start\nnext-ms=1500\n{end}\n");
            let block = Message::parse(block.as_bytes()).unwrap();
            render(Some(&block), &[(Status::read(&block).unwrap(), None)])
        };
        assert!(told("last-exit=3").contains("going_service_exit_code{service=\"a\"} 3\n"));
        assert!(told("last-signal=KILL").contains("going_service_exit_code{service=\"a\"} 137\n"));
        let left = "going_service_quarantine_seconds{service=\"a\"} 1.500\n";
        assert!(told("last-exit=0").contains(left));
    }

    #[test]
    fn silent_going_is_a_figure_too() {
        assert_eq!(
            render(None, &[]),
            "# TYPE going_up gauge\n# HELP going_up Whether going answered.\ngoing_up 0\n# EOF\n"
        );
    }
}
