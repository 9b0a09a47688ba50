//! The command line of goingctl(8): one table of commands, which parses, helps
//! and completes. What is done with them is told elsewhere.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::screen::When;
use crate::config::signals::{nearest_signal, read_signal};
use crate::config::values::hint;
use crate::config::words::read_duration;
use crate::config::{Signal, grammar::show};
use crate::protocol::State;

/// What stands in for `goingctl` while a shell asks what could come next.
pub const COMPLETE: &str = "complete-words";

const FOOT: &str = "\
Without a command, goingctl is a shell of its own. An unknown command NAME is
run as goingctl-NAME, if there is such a program. See goingctl(8).

exit: 0 done, 1 it failed, 2 usage, 3 not running (status),
4 no such service or no going";

/// The whole command line.
pub fn table() -> Command {
    Command::new("goingctl")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Commands going, and shows what it does")
        .after_help(FOOT)
        .disable_help_subcommand(true)
        .subcommand_required(false)
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(value_parser!(std::ffi::OsString))
        .args(everywhere())
        .subcommands(looking())
        .subcommands(ordering())
        .subcommands(writing())
        .subcommands(about_going())
        .subcommand(
            Command::new(COMPLETE).hide(true).arg(Arg::new("words").num_args(0..).last(true)),
        )
}

/// The options which go with every command, told after its own.
fn everywhere() -> [Arg; 3] {
    let args = [
        path("run-dir", 'r', "DIR").help("Where going's control socket is"),
        flag("json").help("Answer in JSON"),
        option("color", "WHEN", "always, never, or auto: on a terminal, without NO_COLOR")
            .value_parser(PossibleValuesParser::new(["auto", "always", "never"]))
            .hide_possible_values(true),
    ];
    args.map(|arg| arg.global(true).display_order(100))
}

/// The commands that only look.
fn looking() -> [Command; 5] {
    [
        Command::new("status")
            .about("Show how services are: all of them, or those named")
            .arg(names(0))
            .arg(flag("watch").short('w').help("Go on showing it, until q or Ctrl-C")),
        Command::new("why").about("Tell the story of a service, and what to do next").arg(names(1)),
        Command::new("events")
            .about("Show what changes, a line each")
            .arg(flag("follow").short('f').help("Go on for ever"))
            .arg(
                option("since", "SERIAL", "Begin after the event of this number")
                    .value_parser(value_parser!(u64)),
            ),
        Command::new("top").about("Show who uses the most CPU and memory, until q or Ctrl-C"),
        Command::new("wait")
            .about("Wait until services are in a state")
            .arg(names(1))
            .arg(
                option("for", "STATE", "The state to wait for")
                    .required(true)
                    .value_parser(PossibleValuesParser::new(State::ALL.map(State::word))),
            )
            .arg(timeout()),
    ]
}

/// The commands that change what is wanted or what runs.
fn ordering() -> Vec<Command> {
    let waiting = [
        ("start", "Start services, and wait until they are up"),
        ("stop", "Stop services, and wait until nothing of them runs"),
        ("restart", "Stop and start services, and wait until they are up"),
        ("retry", "End the quarantine of services now"),
    ];
    let plain = [
        ("hup", "Send SIGHUP to services"),
        ("enable", "Let services be started, now and after every boot"),
        ("disable", "Stop services, and keep them down after every boot"),
    ];
    let mut commands: Vec<Command> = waiting
        .map(|(name, about)| Command::new(name).about(about).arg(names(1)).args(patience()))
        .into();
    commands.extend(plain.map(|(name, about)| Command::new(name).about(about).arg(names(1))));
    commands.push(
        Command::new("signal")
            .about("Send a signal to services")
            .arg(Arg::new("signal").value_name("SIGNAL").required(true).value_parser(signal))
            .arg(names(1)),
    );
    commands
}

/// The commands about service files.
fn writing() -> [Command; 4] {
    let directory = path("dir", 'd', "DIR").help("Directory of service files, if not going's own");
    [
        Command::new("reload")
            .about("Read the directory again, and tell what follows from it")
            .arg(flag("dry-run").short('n').help("Only tell what would follow")),
        Command::new("check")
            .about("Say what is wrong with service files, and when what crashes is tried again")
            .arg(
                Arg::new("file")
                    .value_name("FILE")
                    .num_args(0..)
                    .value_parser(value_parser!(PathBuf))
                    .conflicts_with("dir"),
            )
            .arg(directory.clone()),
        Command::new("new")
            .about("Write the file of a new service, if nothing is wrong with it")
            .override_usage("goingctl new [-d DIR] NAME [KEY=VALUE]... -- COMMAND [ARGUMENT]...")
            .arg(Arg::new("name").value_name("NAME").required(true))
            .arg(Arg::new("pair").value_name("KEY=VALUE").num_args(0..))
            .arg(Arg::new("words").value_name("COMMAND").num_args(1..).last(true).required(true))
            .arg(directory),
        Command::new("keys")
            .about("Show the keys of service files, or all about one")
            .arg(Arg::new("key").value_name("KEY"))
            .arg(
                flag("sample")
                    .help("Write a service file with every key, commented")
                    .conflicts_with("key"),
            ),
    ]
}

/// The commands about going itself.
fn about_going() -> [Command; 6] {
    [
        Command::new("metrics")
            .about("Show figures in the format of OpenMetrics")
            .arg(
                path("file", 'o', "FILE")
                    .help("Write them there, complete at every moment")
                    .required(false),
            )
            .arg(
                option("every", "TIME", "Write them again and again, this long apart")
                    .value_parser(duration)
                    .requires("file"),
            ),
        Command::new("self").about("Show what going itself uses, beside its budgets"),
        Command::new("shutdown").about("Stop all services, then going").args(patience()),
        Command::new("ping").about("See whether going answers"),
        Command::new("version").about("Show the versions of goingctl and of going"),
        Command::new("completions")
            .about("Write what makes a shell complete the words of goingctl")
            .arg(
                Arg::new("shell")
                    .value_name("SHELL")
                    .required(true)
                    .value_parser(PossibleValuesParser::new(["bash", "zsh", "fish"])),
            ),
    ]
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn path(name: &'static str, short: char, value: &'static str) -> Arg {
    Arg::new(name).long(name).short(short).value_name(value).value_parser(value_parser!(PathBuf))
}

fn names(least: usize) -> Arg {
    Arg::new("name")
        .value_name("NAME|@TAG|GLOB")
        .num_args(least..)
        .required(least > 0)
        .help("Services: by name, by tag, or by a pattern such as 'web*'")
}

fn patience() -> [Arg; 2] {
    [flag("no-wait").help("Do not wait for it"), timeout()]
}

fn timeout() -> Arg {
    option("timeout", "TIME", "Wait no longer than this, such as 90s or 1m30s")
        .value_parser(duration)
}

fn duration(word: &str) -> Result<std::time::Duration, String> {
    read_duration(word).map_err(|must| format!("it must be {must}"))
}

fn signal(word: &str) -> Result<Signal, String> {
    let unknown = || hint(format!("no signal {}", show(word)), nearest_signal(word));
    read_signal(word).ok_or_else(unknown)
}

/// The names of the commands which people are told of.
pub fn commands() -> Vec<String> {
    let table = table();
    let shown = table.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| command.get_name().to_owned()).collect()
}

/// All values of an argument, as text.
pub fn texts(matches: &ArgMatches, name: &str) -> Vec<String> {
    match matches.try_get_many::<String>(name) {
        Ok(Some(values)) => values.cloned().collect(),
        Ok(None) | Err(_) => Vec::new(),
    }
}

/// Whether a flag was given, be it one of this command or not.
pub fn has(matches: &ArgMatches, name: &str) -> bool {
    matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false)
}

/// The value of an argument of its own type.
pub fn value<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Option<T> {
    matches.try_get_one::<T>(name).ok().flatten().cloned()
}

/// When to use color.
pub fn when(matches: &ArgMatches) -> When {
    match value::<String>(matches, "color").as_deref() {
        Some("always") => When::Always,
        Some("never") => When::Never,
        _ => When::Auto,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sound() {
        table().debug_assert();
    }
}
