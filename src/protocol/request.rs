//! Requests: a message that asks for something, read and checked before anybody
//! acts on it. What is not understood is refused, never left out: a mistyped
//! `dry-run` must not become the real thing.

use super::message::Message;
use crate::config::grammar::show;
use crate::config::nearest::nearest;
use crate::config::signals::{nearest_signal, read_signal};
use crate::config::{Signal, values::hint};

/// Of the protocol; a request begins with `going=1`.
pub const VERSION: &str = "1";

/// Whoever means more services than this has a pattern or a tag for them.
pub const NAMES_MAX: usize = 1024;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// How things are.
    Status,
    /// How they came to be so.
    Why,
    /// Want it up.
    Start,
    /// Want it down.
    Stop,
    /// Want it up as a new process.
    Restart,
    /// End a quarantine now.
    Retry,
    /// Send a signal.
    Signal,
    /// Send the one upon which it reads its configuration again.
    Hup,
    /// Let it be started from now on.
    Enable,
    /// Keep it down from now on.
    Disable,
    /// Read the directory.
    Reload,
    /// What changes.
    Events,
    /// Going's own figures.
    Myself,
    /// Are you there?
    Ping,
    /// Which version?
    Version,
    /// Stop everything and exit.
    Shutdown,
    /// Become the program that is installed now.
    Upgrade,
    /// Empty its log.
    ClearLog,
    /// Open all logs again.
    ReopenLogs,
    /// Write a line to its stdin.
    Send,
}

/// The words for the commands.
const COMMANDS: [(&str, Command); 20] = [
    ("status", Command::Status),
    ("why", Command::Why),
    ("start", Command::Start),
    ("stop", Command::Stop),
    ("restart", Command::Restart),
    ("retry", Command::Retry),
    ("signal", Command::Signal),
    ("hup", Command::Hup),
    ("enable", Command::Enable),
    ("disable", Command::Disable),
    ("reload", Command::Reload),
    ("events", Command::Events),
    ("self", Command::Myself),
    ("ping", Command::Ping),
    ("version", Command::Version),
    ("shutdown", Command::Shutdown),
    ("upgrade", Command::Upgrade),
    ("clear-log", Command::ClearLog),
    ("reopen-logs", Command::ReopenLogs),
    ("send", Command::Send),
];

impl Command {
    /// As it is written.
    pub fn word(self) -> &'static str {
        COMMANDS.iter().find(|(_, command)| *command == self).map_or("", |(word, _)| word)
    }

    /// The command of this word.
    pub fn read(word: &str) -> Option<Command> {
        COMMANDS.iter().find(|(known, _)| *known == word).map(|(_, command)| *command)
    }

    /// Whether it is about services, which are named.
    fn takes_names(self) -> bool {
        match self {
            Command::Status
            | Command::Why
            | Command::Start
            | Command::Stop
            | Command::Restart
            | Command::Retry
            | Command::Signal
            | Command::Hup
            | Command::Enable
            | Command::Disable
            | Command::ClearLog
            | Command::Send => true,
            Command::Reload
            | Command::Events
            | Command::Myself
            | Command::Ping
            | Command::Version
            | Command::Shutdown
            | Command::ReopenLogs
            | Command::Upgrade => false,
        }
    }
}

/// Why a request was not done, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Others may do it, but not you.
    Denied,
    /// There is no such command.
    UnknownCommand,
    /// There is no such service.
    UnknownService,
    /// Something about the request is wrong.
    Invalid,
    /// Not a version of the protocol which we speak.
    Version,
    /// It was tried and did not work.
    Failed,
}

impl Code {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Code::Denied => "denied",
            Code::UnknownCommand => "unknown-command",
            Code::UnknownService => "unknown-service",
            Code::Invalid => "invalid",
            Code::Version => "version",
            Code::Failed => "failed",
        }
    }
}

/// Why a message is no request that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
}

fn refuse<T>(code: Code, message: String) -> Result<T, Refusal> {
    Err(Refusal { code, message })
}

/// Something that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What.
    pub command: Command,
    /// Of whom: names, `@tag`s and patterns; none is everybody (status only).
    pub names: Vec<String>,
    /// What `signal` sends; always there with it, never without.
    pub signal: Option<Signal>,
    /// Only say what `reload` would do.
    pub dry_run: bool,
    /// Begin `events` after the one of this number.
    pub since: Option<u64>,
    /// Go on with `events` for ever.
    pub follow: bool,
    /// The line which `send` writes; always there with it, never without.
    pub text: Option<String>,
}

impl Request {
    /// The plain request for `command`.
    pub fn new(command: Command) -> Request {
        Request {
            command,
            names: Vec::new(),
            signal: None,
            dry_run: false,
            since: None,
            follow: false,
            text: None,
        }
    }

    /// As it is sent.
    pub fn to_message(&self) -> Message {
        let mut message = Message::new();
        message.add("going", VERSION);
        message.add("command", self.command.word());
        for name in &self.names {
            message.add("name", name);
        }
        if let Some(signal) = self.signal {
            message.add("signal", &signal.word());
        }
        if self.dry_run {
            message.add("dry-run", "yes");
        }
        if let Some(since) = self.since {
            message.add("since", &since.to_string());
        }
        if self.follow {
            message.add("follow", "yes");
        }
        if let Some(text) = &self.text {
            message.add("text", text);
        }
        message
    }

    /// Reads a message as a request.
    ///
    /// # Errors
    /// What is wrong with it, to be answered.
    pub fn from_message(message: &Message) -> Result<Request, Refusal> {
        let mut pairs = message.pairs();
        match pairs.next() {
            Some(("going", VERSION)) => {}
            Some(("going", other)) => {
                let message = format!("version {} of the protocol is not spoken here", show(other));
                return refuse(Code::Version, message + ", only version 1");
            }
            _ => return refuse(Code::Version, "a request must begin with going=1".to_owned()),
        }
        let command = match pairs.next() {
            Some(("command", word)) => known(word)?,
            _ => return refuse(Code::Invalid, "command= must follow going=1".to_owned()),
        };
        let mut request = Request::new(command);
        for (key, value) in pairs {
            request.read(key, value)?;
        }
        request.check()?;
        Ok(request)
    }

    /// Reads one thing more.
    fn read(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        let is_about = match key {
            "name" => self.command.takes_names(),
            "signal" => self.command == Command::Signal && self.signal.is_none(),
            "dry-run" => self.command == Command::Reload,
            "since" | "follow" => self.command == Command::Events,
            "text" => self.command == Command::Send && self.text.is_none(),
            _ => false,
        };
        if !is_about {
            return refuse(
                Code::Invalid,
                format!("{} does not go with command={}", show(key), self.command.word()),
            );
        }
        match key {
            "name" if self.names.len() >= NAMES_MAX => {
                let message = format!("more than {NAMES_MAX} names in one request");
                return refuse(Code::Invalid, message);
            }
            "name" => self.names.push(value.to_owned()),
            "signal" => self.signal = Some(signal(value)?),
            "dry-run" => self.dry_run = is_yes(key, value)?,
            "follow" => self.follow = is_yes(key, value)?,
            "text" => self.text = Some(value.to_owned()),
            _ => match value.parse() {
                Ok(number) => self.since = Some(number),
                Err(_) => {
                    let message = format!("since= is {}, but must be a number", show(value));
                    return refuse(Code::Invalid, message);
                }
            },
        }
        Ok(())
    }

    /// What no single line can tell.
    fn check(&self) -> Result<(), Refusal> {
        let word = self.command.word();
        let needs_names = self.command.takes_names() && self.command != Command::Status;
        if needs_names && self.names.is_empty() {
            return refuse(Code::Invalid, format!("{word} needs the name of a service"));
        }
        if self.names.iter().any(String::is_empty) {
            return refuse(Code::Invalid, "name= has no value".to_owned());
        }
        if self.command == Command::Signal && self.signal.is_none() {
            return refuse(Code::Invalid, "signal needs signal=".to_owned());
        }
        if self.command == Command::Send && self.text.is_none() {
            return refuse(Code::Invalid, "send needs text=".to_owned());
        }
        Ok(())
    }
}

fn known(word: &str) -> Result<Command, Refusal> {
    Command::read(word).ok_or_else(|| {
        let meant = nearest(word, COMMANDS.iter().map(|(known, _)| *known));
        let message = hint(format!("no command {}", show(word)), meant);
        Refusal { code: Code::UnknownCommand, message }
    })
}

fn signal(word: &str) -> Result<Signal, Refusal> {
    read_signal(word).ok_or_else(|| {
        let message = hint(format!("no signal {}", show(word)), nearest_signal(word));
        Refusal { code: Code::Invalid, message }
    })
}

fn is_yes(key: &str, value: &str) -> Result<bool, Refusal> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => refuse(Code::Invalid, format!("{key}= is {}, but must be yes or no", show(value))),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
