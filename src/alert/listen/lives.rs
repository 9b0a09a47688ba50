//! The lives of services as supervisor tells them: what going says of a change, as
//! the steps which supervisor would have made of it.

use std::collections::HashMap;

use crate::client::process::Process;
use crate::client::reply::{Death, End};
use crate::protocol::Message;

/// An event, and what is said of it.
pub type Told = (&'static str, String);

/// How a service is, as it was told.
#[derive(Debug, Clone, Copy)]
struct Life {
    process: Process,
    pid: u64,
    /// How often it was started in vain.
    tries: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Lives(HashMap<String, Life>);

impl Lives {
    /// Notes how a service is, of which nothing was told.
    pub fn note(&mut self, block: &Message) {
        let (Some(service), Some(state)) = (block.get("service"), block.get("state")) else {
            return;
        };
        let tries = block.number("strikes").unwrap_or(0);
        let pid = block.number("pid").unwrap_or(0);
        self.0.insert(service.to_owned(), Life { process: Process::of(state), pid, tries });
    }

    /// Its main process, or the last one it had.
    pub fn pid(&self, service: &str) -> u64 {
        self.0.get(service).map_or(0, |life| life.pid)
    }

    /// Hears what going says.
    pub fn hear(&mut self, message: &Message) -> Vec<Told> {
        let get = |key| message.get(key);
        let (Some(service), Some(was), Some(state)) = (get("service"), get("was"), get("state"))
        else {
            return Vec::new();
        };
        let known = Life { process: Process::of(was), pid: 0, tries: 0 };
        let life = *self.0.entry(service.to_owned()).or_insert(known);
        let mut tale = Tale { service, life, told: Vec::new() };
        let pid = message.number("pid");
        let target = Process::of(state);
        match Death::read(message, "") {
            Some(death) => tale.die(&death, target),
            None => tale.life.pid = pid.unwrap_or(tale.life.pid),
        }
        tale.go(target);
        tale.life.pid = pid.unwrap_or(tale.life.pid);
        self.0.insert(service.to_owned(), tale.life);
        tale.told
    }
}

struct Tale<'a> {
    service: &'a str,
    life: Life,
    told: Vec<Told>,
}

impl Tale<'_> {
    /// How it ended.
    fn die(&mut self, death: &Death, target: Process) {
        if death.ordered {
            self.life.tries = 0;
            if target != Process::Stopping && self.life.process != Process::Stopped {
                self.go(Process::Stopped);
            }
            return;
        }
        let is_strike = death.strike.is_some();
        self.life.tries = if is_strike { self.life.tries.saturating_add(1) } else { 0 };
        let is_good = !is_strike && (death.end == End::Exit(0) || target == Process::Exited);
        // What ended while it was on its way up is held back, unless it has done its
        // work by that.
        if self.life.process == Process::Starting && is_good {
            self.step(Process::Running, None);
        }
        if matches!(self.life.process, Process::Running | Process::Stopping) {
            self.step(Process::Exited, Some(is_good));
        }
    }

    /// All the steps to there.
    fn go(&mut self, target: Process) {
        let from = self.life.process;
        let is_over = matches!(from, Process::Exited | Process::Backoff | Process::Fatal);
        match target {
            // What is left of it is being cleared away, of which supervisor knows nothing.
            Process::Stopping if is_over || from == Process::Stopped => return,
            Process::Stopped if matches!(from, Process::Running | Process::Starting) => {
                self.step(Process::Stopping, None);
            }
            Process::Running if from != Process::Starting => self.step(Process::Starting, None),
            Process::Fatal if from != Process::Backoff => self.step(Process::Backoff, None),
            Process::Exited if from == Process::Starting => self.step(Process::Running, None),
            Process::Stopped
            | Process::Starting
            | Process::Running
            | Process::Backoff
            | Process::Stopping
            | Process::Exited
            | Process::Fatal
            | Process::Unknown => {}
        }
        self.step(target, (target == Process::Exited).then_some(true));
    }

    /// One step, if it is one.
    fn step(&mut self, to: Process, expected: Option<bool>) {
        let from = self.life.process;
        if from == to {
            return;
        }
        let service = self.service;
        let mut text =
            format!("processname:{service} groupname:{service} from_state:{}", from.name());
        let pid = self.life.pid;
        let more = match to {
            Process::Starting | Process::Backoff => format!(" tries:{}", self.life.tries),
            Process::Running | Process::Stopping | Process::Stopped => format!(" pid:{pid}"),
            Process::Exited => {
                format!(" expected:{} pid:{pid}", u8::from(expected.unwrap_or(true)))
            }
            Process::Fatal | Process::Unknown => String::new(),
        };
        text.push_str(&more);
        self.life.process = to;
        self.told.push((name(to), text));
    }
}

fn name(process: Process) -> &'static str {
    match process {
        Process::Stopped => "PROCESS_STATE_STOPPED",
        Process::Starting => "PROCESS_STATE_STARTING",
        Process::Running => "PROCESS_STATE_RUNNING",
        Process::Backoff => "PROCESS_STATE_BACKOFF",
        Process::Stopping => "PROCESS_STATE_STOPPING",
        Process::Exited => "PROCESS_STATE_EXITED",
        Process::Fatal => "PROCESS_STATE_FATAL",
        Process::Unknown => "PROCESS_STATE_UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tale(events: &[&str]) -> Vec<String> {
        let mut lives = Lives::default();
        let told = events.iter().flat_map(|event| {
            let text = format!("service=x\n{}\n", event.replace(' ', "\n"));
            lives.hear(&Message::parse(text.as_bytes()).unwrap())
        });
        let short = |(name, text): Told| {
            let rest = text.strip_prefix("processname:x groupname:x from_state:").unwrap();
            format!("{} < {rest}", name.strip_prefix("PROCESS_STATE_").unwrap())
        };
        told.map(short).collect()
    }

    const UP: [&str; 3] = [
        "was=down state=waiting",
        "was=waiting state=starting pid=7",
        "was=starting state=up pid=7",
    ];

    #[test]
    fn a_life_is_told_in_supervisors_steps() {
        let stop = "was=up state=stopping pid=7";
        let end = "was=stopping state=down pid=7 signal=TERM ordered=yes ran-ms=9";
        assert_eq!(
            tale(&[&UP[..], &[stop, end]].concat()),
            [
                "STARTING < STOPPED tries:0",
                "RUNNING < STARTING pid:7",
                "STOPPING < RUNNING pid:7",
                "STOPPED < STOPPING pid:7",
            ]
        );
        let again = "was=stopping state=starting pid=8 signal=TERM ordered=yes ran-ms=9";
        let restart = tale(&[&UP[..], &[stop, again, "was=starting state=up pid=8"]].concat());
        assert_eq!(
            restart.get(3..).unwrap(),
            ["STOPPED < STOPPING pid:7", "STARTING < STOPPED tries:0", "RUNNING < STARTING pid:8"]
        );
    }

    #[test]
    fn a_death_is_an_exit_and_then_it_is_held_back_or_given_up() {
        let death = "was=up state=quarantined pid=7 exit=3 ran-ms=9 strike=short";
        let again = ["was=quarantined state=starting pid=8", "was=starting state=up pid=8"];
        let last = "was=up state=failed pid=8 signal=KILL ran-ms=9 strike=short";
        let all = tale(&[&UP[..], &[death], &again, &[last]].concat());
        assert_eq!(
            all.get(2..).unwrap(),
            [
                "EXITED < RUNNING expected:0 pid:7",
                "BACKOFF < EXITED tries:1",
                "STARTING < BACKOFF tries:1",
                "RUNNING < STARTING pid:8",
                "EXITED < RUNNING expected:0 pid:8",
                "BACKOFF < EXITED tries:2",
                "FATAL < BACKOFF",
            ]
        );
        let clearing = "was=up state=clearing pid=7 exit=0 ran-ms=90000";
        let all = tale(&[&UP[..], &[clearing, "was=clearing state=starting pid=9"]].concat());
        assert_eq!(
            all.get(2..).unwrap(),
            ["EXITED < RUNNING expected:1 pid:7", "STARTING < EXITED tries:0"]
        );
    }

    #[test]
    fn work_that_is_done_was_running_and_what_never_was_up_is_held_back() {
        let start = UP.get(..2).unwrap();
        let done = "was=starting state=done pid=7 exit=0 ran-ms=5";
        assert_eq!(
            tale(&[start, &[done]].concat()),
            [
                "STARTING < STOPPED tries:0",
                "RUNNING < STARTING pid:7",
                "EXITED < RUNNING expected:1 pid:7",
            ]
        );
        let fault = "was=starting state=quarantined strike=fault exit=127 ran-ms=0";
        let all = tale(&[start, &[fault, "was=quarantined state=down"]].concat());
        assert_eq!(
            all.get(1..).unwrap(),
            ["BACKOFF < STARTING tries:1", "STOPPED < BACKOFF pid:7"]
        );
        assert_eq!(tale(&["was=up state=odd"]), ["UNKNOWN < RUNNING"]);
    }
}
