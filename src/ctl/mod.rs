//! goingctl(8): asks going over its socket, and tells people what it answers. It
//! never touches a service itself, and what it prints on a terminal it prints in
//! a pipe as well, only without color and without moving about.

mod act;
mod alerts;
mod check;
mod clear;
mod complete;
mod create;
mod directory;
mod drill;
mod events;
mod figures;
mod foreground;
mod keys;
mod log;
mod metrics;
mod options;
mod plan;
mod rolling;
mod screen;
mod send;
mod shell;
mod status;
mod top;
mod wait;
mod why;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;
use clap::error::ErrorKind as Misuse;

use screen::Style;

use crate::client::{self, Place, Reply, Trouble};
use crate::protocol::{Command, Request};

/// What goingctl(8) exits with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Ending {
    /// Done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A service that was asked for does not run.
    NotRunning = 3,
    /// There is no such service, or no going.
    NoSuch = 4,
}

/// What trouble makes of the ending.
fn ending(trouble: &Trouble) -> Ending {
    match trouble {
        Trouble::NoGoing(_) | Trouble::HungUp(_) => Ending::NoSuch,
        Trouble::Usage(_) => Ending::Usage,
        Trouble::Failed(_) => Ending::Failed,
        // As with `goingctl status | head`, where nothing is wrong.
        Trouble::Unheard => Ending::Done,
    }
}

/// How one command is to be done.
#[derive(Debug, Clone)]
pub struct Session {
    /// The run directory that was asked for.
    directory: Option<PathBuf>,
    /// Answer in JSON.
    is_json: bool,
    /// How to show things.
    style: Style,
}

impl Session {
    fn place(&self) -> Result<Place, Trouble> {
        Place::find(self.directory.as_deref())
    }

    fn ask(&self, request: &Request) -> Result<Reply, Trouble> {
        client::ask(&self.place()?, request)
    }
}

/// Runs goingctl(8) with the arguments of this process.
pub fn main() -> ExitCode {
    ExitCode::from(run() as u8)
}

fn run() -> Ending {
    let words: Vec<OsString> = std::env::args_os().collect();
    let matches = match options::table_for(&words).try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(misuse) => return refuse(&misuse),
    };
    let inner = matches.subcommand().map_or(&matches, |(_, inner)| inner);
    let session = Session {
        directory: options::value(inner, "run-dir"),
        is_json: options::has(inner, "json"),
        style: Style::new(options::when(inner)),
    };
    perform(&session, &matches).unwrap_or_else(|trouble| {
        if let Some(sentence) = trouble.sentence() {
            complain(sentence);
        }
        ending(&trouble)
    })
}

/// Help and version are errors to the parser, but not to us.
fn refuse(misuse: &clap::Error) -> Ending {
    let text = misuse.render().to_string();
    if [Misuse::DisplayHelp, Misuse::DisplayVersion].contains(&misuse.kind()) {
        return print(&text).map_or_else(|trouble| ending(&trouble), |()| Ending::Done);
    }
    // There is nowhere else to go with it.
    let _ = io::stderr().write_all(text.as_bytes());
    Ending::Usage
}

/// Commands whose answers are not for programs.
const WORDS_ONLY: [&str; 8] =
    ["check", "completions", "fg", "metrics", "new", "shutdown", "top", "wait"];

fn perform(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let Some((name, inner)) = matches.subcommand() else { return shell::converse(session) };
    if session.is_json && WORDS_ONLY.contains(&name) {
        return Err(Trouble::Usage(format!("{name} has no answer in JSON")));
    }
    match name {
        "status" => status::status(session, inner),
        "why" => why::why(session, inner),
        "events" => events::events(session, inner),
        "log" => log::log(session, inner),
        "clear-log" => clear::clear(session, inner),
        "reopen-logs" => clear::reopen(session),
        "send" => send::send(session, inner),
        "notify" => alerts::notify(session, inner),
        "alerts" => alerts::alerts(session, inner),
        "fg" => foreground::foreground(session, inner),
        "top" => top::top(session),
        "wait" => wait::wait(session, inner),
        "restart" if options::has(inner, "rolling") => rolling::restart(session, inner),
        "start" | "stop" | "restart" | "retry" | "shutdown" => act::order(session, name, inner),
        "hup" | "signal" | "enable" | "disable" => act::deed(session, name, inner),
        "drill" => drill::drill(session, inner),
        "reload" => act::reload(session, inner),
        "check" => check::check(session, inner),
        "new" => create::create(session, inner),
        "keys" => keys::keys(session, inner),
        "metrics" => metrics::metrics(session, inner),
        "self" => figures::figures(session),
        "upgrade" => act::upgrade(session),
        "ping" => act::ping(session),
        "version" => act::version(session),
        "completions" => complete::script(inner),
        options::COMPLETE => complete::complete(session, inner),
        _ => shell::plug_in(session, name, inner),
    }
}

/// A request about the services named on the command line.
fn request(command: Command, matches: &ArgMatches) -> Request {
    Request { names: options::texts(matches, "name"), ..Request::new(command) }
}

/// Tells people of what was asked for and does not exist, or may not be; what
/// that makes of the ending.
fn judge(reply: &Reply) -> Ending {
    let strangers = reply.strangers();
    for stranger in &strangers {
        complain(&stranger.sentence());
    }
    let Some(code) = &reply.code else { return Ending::Done };
    if strangers.is_empty() {
        // Each service that is to blame has said so itself.
        let is_told = reply.blocks.iter().any(|block| block.get("outcome").is_some());
        if !is_told {
            complain(reply.message.as_deref().unwrap_or(code));
        }
    }
    if code == "unknown-service" || !strangers.is_empty() { Ending::NoSuch } else { Ending::Failed }
}

/// Prints an answer.
fn print(text: &str) -> Result<(), Trouble> {
    print_bytes(text.as_bytes())
}

/// Prints what need not be text.
fn print_bytes(bytes: &[u8]) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Trouble::Unheard),
        Err(error) => Err(Trouble::Failed(format!("can't write: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints what is wrong.
fn complain(text: &str) {
    let mut lines = String::new();
    for (number, line) in text.lines().enumerate() {
        lines.push_str(if number == 0 { "goingctl: " } else { "  " });
        lines.push_str(line);
        lines.push('\n');
    }
    // There is nowhere else to go with it.
    let _ = io::stderr().write_all(lines.as_bytes());
}
