//! `goingctl log`: what services wrote, shown to people.

mod later;
mod logs;
mod show;
mod sources;

pub use logs::Logs;
pub use show::safe;

use clap::{Arg, ArgMatches};
use later::Later;

use super::options::{self, Entry};
use super::{Ending, Session, events};
use crate::client::Trouble;
use crate::client::log::choice::{Choice, Pattern};
use crate::client::log::moment;
use crate::sys::pipes::local_offset;

/// So many lines fill most of a screen, and leave the question to be seen.
const LINES: u64 = 20;

/// The commands about output, and about input.
pub const COMMANDS: [Entry; 5] = [
    ("log", "Show what services wrote last, or what they write", |it| {
        it.arg(options::names(1)).args(log_options())
    }),
    ("clear-log", "Empty the logs of services, and remove their backups", |it| {
        it.arg(options::names(1)).args(options::patience())
    }),
    ("reopen-logs", "Open all logs again, after something has renamed them", |it| it),
    ("send", "Write a line to the stdin of a service", |it| {
        it.arg(one_name()).arg(
            Arg::new("text")
                .value_name("TEXT")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .help("The line; without it, or with -, each line of standard input"),
        )
    }),
    ("fg", "Show what a service writes and send what is typed, until Ctrl-C", |it| {
        it.arg(one_name())
    }),
];

fn one_name() -> Arg {
    Arg::new("one-name").value_name("NAME").required(true).help("A service")
}

fn log_options() -> [Arg; 8] {
    [
        options::flag("follow").short('f').help("Go on for ever"),
        options::option("lines", "COUNT", "How many of the last lines, or all [default: 20]")
            .short('n')
            .value_parser(lines),
        options::option("since", "TIME", "Only what is not older: 10m, 14:30, today, 2026-11-21")
            .value_parser(since),
        options::option("grep", "PATTERN", "Only lines that match this regular expression")
            .short('g'),
        options::flag("ignore-case").short('i').help("Let PATTERN match capitals, too"),
        options::flag("stdout").help("Only what was written to stdout"),
        options::flag("stderr").help("Only what was written to stderr, if that is apart"),
        options::path("log-dir", 'l', "DIR")
            .help("The logs in this directory, whatever going says"),
    ]
}

/// How many lines: a number, or all.
fn lines(word: &str) -> Result<u64, String> {
    match word {
        "all" => Ok(u64::MAX),
        _ => word.parse().map_err(|_| "it must be a number, or all".to_owned()),
    }
}

fn since(word: &str) -> Result<u64, String> {
    moment::since(word, events::now(), |at| local_offset(i64::try_from(at).unwrap_or(0)))
}

/// What is asked for.
fn choice(matches: &ArgMatches) -> Result<Choice, Trouble> {
    let since = options::value::<u64>(matches, "since");
    let is_caseless = options::has(matches, "ignore-case");
    let pattern = options::value::<String>(matches, "grep");
    let pattern = pattern.map(|text| Pattern::read(&text, is_caseless)).transpose();
    let pattern = pattern.map_err(|why| Trouble::Usage(format!("--grep is no pattern: {why}")))?;
    let lines = match options::value::<u64>(matches, "lines") {
        Some(u64::MAX) => None,
        Some(lines) => Some(lines),
        // Whoever says which lines wants all of them.
        None if since.is_some() || pattern.is_some() => None,
        None => Some(LINES),
    };
    Ok(Choice { lines, since, before: None, pattern })
}

/// Performs it.
pub fn log(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let choice = choice(matches)?;
    let (sources, ending) = sources::find(session, matches)?;
    let is_following = options::has(matches, "follow");
    if sources.is_empty() {
        return Ok(ending);
    }
    let later = Later::new(session, matches, &choice).filter(|_| is_following);
    let mut logs = Logs::open(session, sources, choice, is_following);
    if later.is_some() {
        logs.expect_more();
    }
    logs.history(is_following)?;
    if is_following {
        logs.follow(later)?;
    }
    Ok(ending.max(logs.ending))
}
