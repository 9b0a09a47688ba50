//! The command line of goingctl(8): one table of commands, which parses, helps
//! and completes. What is done with them is told elsewhere.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::log;
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

/// A command: its name, what it is for, and how it gets its arguments.
pub type Entry = (&'static str, &'static str, fn(Command) -> Command);

/// The whole command line.
pub fn table() -> Command {
    frame().subcommands(subcommands(|_| true))
}

/// As much of it as reads these words: a command that is not among them is not
/// meant, and to prepare all of them takes longer than to do what one is for.
/// Where none is among them, it is all of it, for help or a hint.
pub fn table_for(words: &[OsString]) -> Command {
    let said = subcommands(|name| words.iter().any(|word| word == name));
    if said.is_empty() { table() } else { frame().subcommands(said) }
}

fn frame() -> Command {
    Command::new("goingctl")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Commands going, and shows what it does")
        .after_help(FOOT)
        .disable_help_subcommand(true)
        .subcommand_required(false)
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(value_parser!(OsString))
        .args(everywhere())
}

/// The commands whose names are wanted, as help has them.
fn subcommands(is_wanted: impl Fn(&str) -> bool) -> Vec<Command> {
    let made = |entries: &[Entry]| -> Vec<Command> {
        let wanted = entries.iter().filter(|(name, _, _)| is_wanted(name));
        wanted.map(|(name, about, dress)| dress(Command::new(*name).about(*about))).collect()
    };
    let mut commands = made(&LOOKING);
    commands.extend(made(&log::COMMANDS));
    for entries in [ORDERING.as_slice(), &WRITING, &ABOUT_GOING, &[COMPLETING]] {
        commands.extend(made(entries));
    }
    commands
}

/// Asked by shells only.
const COMPLETING: Entry =
    (COMPLETE, "", |it| it.hide(true).arg(Arg::new("words").num_args(0..).last(true)));

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
const LOOKING: [Entry; 5] = [
    ("status", "Show how services are: all of them, or those named", |it| {
        it.arg(names(0)).arg(flag("watch").short('w').help("Go on showing it, until q or Ctrl-C"))
    }),
    ("why", "Tell the story of a service, and what to do next", |it| {
        it.arg(names(1)).arg(
            option("lines", "COUNT", "How many lines it wrote last, up to 100 [default: 10]")
                .short('n')
                .value_parser(value_parser!(u64).range(..=100)),
        )
    }),
    ("events", "Show what changes, a line each", |it| {
        it.arg(flag("follow").short('f').help("Go on for ever")).arg(
            option("since", "SERIAL", "Begin after the event of this number")
                .value_parser(value_parser!(u64)),
        )
    }),
    ("top", "Show who uses the most CPU and memory, until q or Ctrl-C", |it| it),
    ("wait", "Wait until services are in a state", |it| {
        it.arg(names(1))
            .arg(
                option("for", "STATE", "The state to wait for")
                    .required(true)
                    .value_parser(PossibleValuesParser::new(State::ALL.map(State::word))),
            )
            .arg(timeout())
    }),
];

/// The commands that change what is wanted or what runs.
const ORDERING: [Entry; 9] = [
    ("start", "Start services, and wait until they are up", patient),
    ("stop", "Stop services, and wait until nothing of them runs", patient),
    ("restart", "Stop and start services, and wait until they are up", |it| {
        let rolling = flag("rolling").help("One after another, each when the last one is up");
        patient(it).arg(rolling.conflicts_with("no-wait"))
    }),
    ("retry", "End the quarantine of services now", patient),
    ("hup", "Tell services to read their configuration again", |it| it.arg(names(1))),
    ("drill", "Kill a service, or freeze it, and tell how it comes back", |it| {
        it.arg(names(1).num_args(1).value_name("NAME"))
            .arg(flag("yes").short('y').help("Do not ask"))
            .arg(flag("freeze").help("Freeze it, where somebody looks whether it still answers"))
            .arg(timeout())
    }),
    ("enable", "Let services be started, now and after every boot", |it| it.arg(names(1))),
    ("disable", "Stop services, and keep them down after every boot", |it| it.arg(names(1))),
    ("signal", "Send a signal to services", |it| {
        it.arg(Arg::new("signal").value_name("SIGNAL").required(true).value_parser(signal))
            .arg(names(1))
    }),
];

/// The commands about service files.
const WRITING: [Entry; 4] = [
    ("reload", "Read the directory again, and tell what follows from it", |it| {
        it.arg(flag("dry-run").short('n').help("Only tell what would follow"))
    }),
    ("check", "Say what is wrong with service files, and when what crashes is tried again", |it| {
        it.arg(
            Arg::new("file")
                .value_name("FILE")
                .num_args(0..)
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("dir"),
        )
        .arg(directory())
    }),
    ("new", "Write the file of a new service, if nothing is wrong with it", |it| {
        it.override_usage("goingctl new [-d DIR] NAME [KEY=VALUE]... -- COMMAND [ARGUMENT]...")
            .arg(Arg::new("name").value_name("NAME").required(true))
            .arg(Arg::new("pair").value_name("KEY=VALUE").num_args(0..))
            .arg(Arg::new("words").value_name("COMMAND").num_args(1..).last(true).required(true))
            .arg(directory())
    }),
    ("keys", "Show the keys of service files, or all about one", |it| {
        it.arg(Arg::new("key").value_name("KEY")).arg(
            flag("sample")
                .help("Write a service file with every key, commented")
                .conflicts_with("key"),
        )
    }),
];

/// The commands about going itself.
const ABOUT_GOING: [Entry; 9] = [
    ("metrics", "Show figures in the format of OpenMetrics", |it| {
        it.arg(
            path("file", 'o', "FILE")
                .help("Write them there, complete at every moment")
                .required(false),
        )
        .arg(
            option("every", "TIME", "Write them again and again, this long apart")
                .value_parser(duration)
                .requires("file"),
        )
    }),
    ("notify", "Have going-alert tell people a text", |it| {
        let text = Arg::new("text").value_name("TEXT").num_args(1..).required(true);
        it.arg(text).arg(targets("to", "Tell this target, and no other one"))
    }),
    ("alerts", "Show whom going-alert tells, and what waits to be sent", |it| {
        let span = option("for", "TIME", "For so long, such as 2h, and not until it is unmuted");
        it.arg(targets("mute", "Tell this target nothing for now").conflicts_with("unmute"))
            .arg(targets("unmute", "Tell this target again"))
            .arg(span.value_parser(duration).requires("mute"))
    }),
    ("self", "Show what going itself uses, beside its budgets", |it| it),
    ("upgrade", "Have going become the program that is installed now", |it| it),
    ("shutdown", "Stop all services, then going", |it| it.args(patience())),
    ("ping", "See whether going answers", |it| it),
    ("version", "Show the versions of goingctl and of going", |it| it),
    ("completions", "Write what makes a shell complete the words of goingctl", |it| {
        it.arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(PossibleValuesParser::new(["bash", "zsh", "fish"])),
        )
    }),
];

/// An option without a value.
pub fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

/// An option with a value.
pub fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

/// Targets of going-alert.
fn targets(name: &'static str, help: &'static str) -> Arg {
    option(name, "TARGET", help).action(ArgAction::Append)
}

/// An option whose value is a path.
pub fn path(name: &'static str, short: char, value: &'static str) -> Arg {
    Arg::new(name).long(name).short(short).value_name(value).value_parser(value_parser!(PathBuf))
}

/// The names of services, so many at least.
pub fn names(least: usize) -> Arg {
    Arg::new("name")
        .value_name("NAME|@TAG|GLOB")
        .num_args(least..)
        .required(least > 0)
        .help("Services: by name, by tag, or by a pattern such as 'web*'")
}

fn patient(command: Command) -> Command {
    command.arg(names(1)).args(patience())
}

fn directory() -> Arg {
    path("dir", 'd', "DIR").help("Directory of service files, if not going's own")
}

/// Whether to wait, and how long.
pub fn patience() -> [Arg; 2] {
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
    let shown = subcommands(|name| name != COMPLETE);
    shown.iter().map(|command| command.get_name().to_owned()).collect()
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

    fn words(line: &str) -> Vec<OsString> {
        ["goingctl"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
    }

    #[test]
    fn part_of_the_table_reads_what_all_of_it_reads() {
        for line in [
            "status web",
            "-r status stop web",
            "stop status --no-wait",
            "--json why -r x web",
            "new x y=1 -- status -w",
            "send web status",
            "",
        ] {
            let words = words(line);
            let read = |table: Command| {
                let matches = table.try_get_matches_from(&words).unwrap();
                matches.subcommand().map(|(name, inner)| (name.to_owned(), inner.clone()))
            };
            assert_eq!(read(table_for(&words)), read(table()), "{line}");
        }
    }

    #[test]
    fn part_of_the_table_tells_of_misuse_what_all_of_it_tells() {
        for line in
            ["status --wtach", "--wtach status", "wait web", "stop", "why -h", "-h", "--jsno"]
        {
            let words = words(line);
            let told = |table: Command| table.try_get_matches_from(&words).unwrap_err().to_string();
            assert_eq!(told(table_for(&words)), told(table()), "{line}");
        }
    }
}
