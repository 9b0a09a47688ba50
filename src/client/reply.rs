//! What going answers, as values. A key that is missing or odd makes a value
//! that is missing, never an error: an older or newer going must still be
//! readable.

use std::time::Duration;

use crate::protocol::{Message, State};

/// How a run ended, or why it never began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With this status.
    Exit(u64),
    /// By this signal.
    Signal {
        /// Without SIG.
        name: String,
        /// Whether a core was dumped.
        core: bool,
    },
    /// By the kernel, because there was not enough memory for it.
    Memory,
    /// In a way that going could not see, while there was none.
    Unknown,
    /// It could not be run.
    Fault(String),
}

/// A death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// How.
    pub end: End,
    /// How long the run was.
    pub ran: Duration,
    /// How long ago it ended.
    pub ago: Duration,
    /// Whether somebody had asked for it.
    pub ordered: bool,
    /// How it counted, if it did: `short`, `burst`, `fault`, `work`, `setup`,
    /// `unready`, `health` or `watchdog`.
    pub strike: Option<String>,
    /// Whether the present row of strikes began with it.
    pub is_first: bool,
}

/// How a service is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// One line for people.
    pub description: Option<String>,
    /// Whether it is wanted up.
    pub is_wanted: bool,
    /// As it was said.
    pub state: String,
    /// The main process.
    pub pid: Option<u64>,
    /// Since fork.
    pub uptime: Option<Duration>,
    /// Since the state began.
    pub since: Option<Duration>,
    /// How often its program was run.
    pub starts: u64,
    /// Strikes in a row.
    pub strikes: u64,
    /// What happens by itself, and in how long.
    pub next: Option<(String, Duration)>,
    /// The signal that was sent last, without SIG.
    pub signal: Option<String>,
    /// How the last run ended.
    pub last: Option<Death>,
    /// Where going listens for it.
    pub listens: Vec<String>,
    /// How far its start has come, if that is not plain.
    pub stage: Option<String>,
    /// What it says it does.
    pub text: Option<String>,
    /// What it says it is about, if that is not its usual work.
    pub phase: Option<String>,
    /// The condition that keeps it down.
    pub unmet: Option<String>,
    /// The services for which it waits, each with its state, or `missing`.
    pub waits_for: Vec<(String, String)>,
    /// Whether it is well, if somebody asks: `ok`, `failing` or `unknown`.
    pub health: Option<String>,
    /// How many bad answers there were in a row, and how many are too many.
    pub failed: Option<(u64, u64)>,
    /// What was wrong with it last, and how long ago.
    pub ill: Option<(String, Duration)>,
    /// What is wrong with its file.
    pub complaints: Vec<String>,
    /// Its file was never good.
    pub is_refused: bool,
    /// Where its file is.
    pub file: Option<String>,
    /// Its command.
    pub cmd: Option<String>,
    /// Where its control group is, if it has one.
    pub cgroup: Option<String>,
    /// `key=value` of the keys that matter.
    pub policy: Vec<String>,
}

fn text(message: &Message, key: &str) -> Option<String> {
    message.get(key).map(str::to_owned)
}

impl Death {
    /// Reads the keys of a death, all of which begin with `prefix`.
    pub fn read(message: &Message, prefix: &str) -> Option<Death> {
        let get = |name: &str| {
            let mut pairs = message.pairs();
            pairs.find_map(|(key, value)| (key.strip_prefix(prefix) == Some(name)).then_some(value))
        };
        let number = |name: &str| get(name)?.parse().ok();
        let is_yes = |name: &str| get(name) == Some("yes");
        let millis = |name: &str| number(name).map(Duration::from_millis);
        // A child that could not become its program has ended somehow as well,
        // but that is not what is to be told.
        let end = if let Some(why) = get("fault") {
            End::Fault(why.to_owned())
        } else if get("strike") == Some("fault") {
            // Events do not tell more about it.
            End::Fault("could not be run".to_owned())
        } else if get("exit") == Some("unknown") {
            End::Unknown
        } else if is_yes("out-of-memory") {
            End::Memory
        } else if let Some(status) = number("exit") {
            End::Exit(status)
        } else {
            let name = get("signal")?.to_owned();
            End::Signal { name, core: is_yes("core") }
        };
        Some(Death {
            end,
            ran: millis("ran-ms").unwrap_or_default(),
            ago: millis("ago-ms").unwrap_or_default(),
            ordered: is_yes("ordered"),
            strike: get("strike").map(str::to_owned),
            is_first: is_yes("first"),
        })
    }
}

impl Status {
    /// What it says of itself, in a sentence.
    pub fn says(&self) -> Option<String> {
        match (&self.phase, &self.text) {
            (None, None) => None,
            (Some(phase), None) => Some(format!("is {phase}")),
            (None, Some(text)) => Some(text.clone()),
            (Some(phase), Some(text)) => Some(format!("is {phase}: {text}")),
        }
    }

    /// Reads a block of `status` or `why`; nothing if it is something else.
    pub fn read(message: &Message) -> Option<Status> {
        let mut status = Status::default();
        let mut next_in = None;
        // One pass: to look for each key takes ten times as long.
        for (key, value) in message.pairs() {
            let text = || Some(value.to_owned());
            let number = || value.parse().ok();
            let millis = || number().map(Duration::from_millis);
            match key {
                "service" => status.name = value.to_owned(),
                "description" => status.description = text(),
                "want" => status.is_wanted = value == "up",
                "state" => status.state = value.to_owned(),
                "pid" => status.pid = number(),
                "uptime-ms" => status.uptime = millis(),
                "since-ms" => status.since = millis(),
                "starts" => status.starts = number().unwrap_or(0),
                "strikes" => status.strikes = number().unwrap_or(0),
                "next" => status.next = text().zip(Some(Duration::ZERO)),
                "next-ms" => next_in = millis(),
                "stage" => status.stage = text(),
                "status-text" => status.text = text(),
                "phase" => status.phase = text(),
                "unmet" => status.unmet = text(),
                "waits-for" => {
                    let pair = value.split_once(' ');
                    status.waits_for.extend(pair.map(|(name, it)| (name.into(), it.into())));
                }
                "health" => status.health = text(),
                "health-failed" => status.failed = number().map(|count| (count, 0)),
                "health-fails" => {
                    status.failed = status.failed.map(|(count, _)| (count, number().unwrap_or(0)));
                }
                "ill" => status.ill = text().zip(Some(Duration::ZERO)),
                "ill-ago-ms" => status.ill = status.ill.and_then(|(it, _)| Some((it, millis()?))),
                "signal" => status.signal = text(),
                "listen" => status.listens.push(value.to_owned()),
                "complaint" => status.complaints.push(value.to_owned()),
                "refused" => status.is_refused = value == "yes",
                "file" => status.file = text(),
                "cmd" => status.cmd = text(),
                "cgroup" => status.cgroup = text(),
                "policy" => status.policy.push(value.to_owned()),
                _ if key.starts_with("last-") && status.last.is_none() => {
                    status.last = Death::read(message, "last-");
                }
                _ => {}
            }
        }
        status.next = status.next.and_then(|(what, _)| Some((what, next_in?)));
        (!status.name.is_empty() && !status.state.is_empty()).then_some(status)
    }

    /// Whether it is in this state.
    pub fn is(&self, state: State) -> bool {
        self.state == state.word()
    }

    /// For whom it waits, as far as there is room to tell.
    pub fn awaited(&self) -> Option<String> {
        /// More names help nobody.
        const FEW: usize = 3;
        let names = self.waits_for.iter().take(FEW).map(|(name, it)| format!("{name} ({it})"));
        let mut text = names.collect::<Vec<_>>().join(", ");
        if self.waits_for.len() > FEW {
            text.push_str(", ...");
        }
        (!text.is_empty()).then_some(text)
    }

    /// Whether all for whom it waits need somebody to look at them first.
    pub fn waits_in_vain(&self) -> bool {
        let is_stuck = |state: &str| {
            use State::{Disabled, Down, Failed, Quarantined};
            state == "missing"
                || [Down, Disabled, Failed, Quarantined].iter().any(|it| it.word() == state)
        };
        self.is(State::Waiting) && self.waits_for.iter().any(|(_, state)| is_stuck(state))
    }

    /// The value of a key that matters, if going told it.
    pub fn key(&self, name: &str) -> Option<&str> {
        self.policy.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }
}

/// A service that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// As it was asked for.
    pub name: String,
    /// What was meant, perhaps.
    pub nearest: Option<String>,
}

impl Stranger {
    /// Reads a block about a name that nothing has.
    pub fn read(message: &Message) -> Option<Stranger> {
        if message.get("code") != Some("unknown-service") {
            return None;
        }
        Some(Stranger { name: text(message, "name")?, nearest: text(message, "nearest") })
    }

    /// What is to be said of it.
    pub fn sentence(&self) -> String {
        let name = &self.name;
        let what = match (name.strip_prefix('@'), crate::protocol::pattern::is_pattern(name)) {
            (Some(tag), _) => format!("no service has the tag `{tag}`"),
            (None, true) => format!("no service matches `{name}`"),
            (None, false) => format!("no service `{name}`"),
        };
        match &self.nearest {
            Some(nearest) => format!("{what}; did you mean `{nearest}`?"),
            None => what,
        }
    }
}

/// What became of an order to one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The service.
    pub name: String,
    /// `done`, `already`, `denied` or `failed`.
    pub outcome: String,
    /// Why, if it was not done.
    pub message: Option<String>,
    /// How it is now.
    pub state: String,
}

impl Outcome {
    /// Reads a block that answers an order.
    pub fn read(message: &Message) -> Option<Outcome> {
        Some(Outcome {
            name: text(message, "service")?,
            outcome: text(message, "outcome")?,
            message: text(message, "message"),
            state: text(message, "state").unwrap_or_default(),
        })
    }

    /// Whether it is so now.
    pub fn is_good(&self) -> bool {
        self.outcome == "done" || self.outcome == "already"
    }
}
