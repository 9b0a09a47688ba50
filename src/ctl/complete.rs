//! What could come next on a command line: told to the shells, and to our own.
//! All of it comes from the table of options, the table of keys, and going's own
//! list of services.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command as Words};

use super::{Ending, Session, options, print};
use crate::client::{self, Place, Trouble};
use crate::config::{Signal, keys};
use crate::protocol::{Command, Request};

/// Performs `completions`.
pub fn script(matches: &ArgMatches) -> Result<Ending, Trouble> {
    print(match options::value::<String>(matches, "shell").as_deref() {
        Some("zsh") => include_str!("../../etc/completions/goingctl.zsh"),
        Some("fish") => include_str!("../../etc/completions/goingctl.fish"),
        _ => include_str!("../../etc/completions/goingctl.bash"),
    })?;
    Ok(Ending::Done)
}

/// Answers a shell: a candidate a line. Whatever is wrong, it says nothing, for
/// that would be written into the line somebody is typing.
pub fn complete(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let words = options::texts(matches, "words");
    for candidate in candidates(&words, session.directory.as_ref()) {
        print(&format!("{candidate}\n"))?;
    }
    Ok(Ending::Done)
}

/// What the last of these words, which follow `goingctl`, could become.
pub fn candidates(words: &[String], directory: Option<&PathBuf>) -> Vec<String> {
    let Some((typed, before)) = words.split_last() else { return Vec::new() };
    let table = options::table();
    let line = Line::read(&table, before);
    let mut found = match &line.awaited {
        Some(option) => values(option, &line, directory),
        None if line.is_ended => Vec::new(),
        None if typed.starts_with('-') => flags(&table, line.command),
        None => match line.command {
            None => options::commands(),
            Some(command) => {
                let place = positional(command, line.positionals);
                place.map_or_else(Vec::new, |it| values(it, &line, directory))
            }
        },
    };
    found.retain(|candidate| candidate.starts_with(typed.as_str()));
    found.sort();
    found.dedup();
    found
}

/// What is known of a line from the words before the one that is typed.
struct Line<'a> {
    command: Option<&'a Words>,
    /// The option whose value is typed.
    awaited: Option<&'a Arg>,
    positionals: usize,
    /// After `--` comes what is not ours.
    is_ended: bool,
    directory: Option<PathBuf>,
}

impl<'a> Line<'a> {
    fn read(table: &'a Words, words: &[String]) -> Line<'a> {
        let mut line =
            Line { command: None, awaited: None, positionals: 0, is_ended: false, directory: None };
        for word in words {
            if let Some(option) = line.awaited.take() {
                if option.get_id() == "run-dir" {
                    line.directory = Some(PathBuf::from(word));
                }
            } else if word == "--" {
                line.is_ended = true;
            } else if word.starts_with('-') {
                line.awaited = option(table, line.command, word);
            } else if line.command.is_none() {
                line.command = table.find_subcommand(word);
                // A program of the operator's knows its words itself.
                line.is_ended = line.command.is_none();
            } else {
                line.positionals += 1;
            }
        }
        line
    }
}

/// The option of this name, if a value must follow it.
fn option<'a>(table: &'a Words, command: Option<&'a Words>, word: &str) -> Option<&'a Arg> {
    let all = command.into_iter().chain([table]).flat_map(Words::get_opts);
    all.into_iter().find(|arg| {
        let is_long = arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
        let is_short = arg.get_short().is_some_and(|short| *word == format!("-{short}"));
        (is_long || is_short) && arg.get_action().takes_values()
    })
}

fn flags(table: &Words, command: Option<&Words>) -> Vec<String> {
    let all = command.into_iter().chain([table]).flat_map(Words::get_arguments);
    let mut found: Vec<String> =
        all.filter_map(|arg| arg.get_long()).map(|long| format!("--{long}")).collect();
    found.push("--help".to_owned());
    found
}

/// The argument in this place; the last one may be repeated.
fn positional(command: &Words, place: usize) -> Option<&Arg> {
    let all: Vec<&Arg> = command.get_positionals().filter(|arg| !arg.is_last_set()).collect();
    all.get(place).or(all.last()).copied()
}

/// What could be the value of an argument.
fn values(arg: &Arg, line: &Line, directory: Option<&PathBuf>) -> Vec<String> {
    let is_new = line.command.is_some_and(|command| command.get_name() == "new");
    match arg.get_id().as_str() {
        "name" if is_new => Vec::new(),
        "name" | "one-name" => services(line.directory.as_ref().or(directory)),
        "signal" => (1..=31).map(|number| Signal(number).word()).collect(),
        "key" => keys::names().map(str::to_owned).collect(),
        "pair" => {
            keys::names().filter(|name| *name != "cmd").map(|name| format!("{name}=")).collect()
        }
        _ => {
            let possible = arg.get_possible_values().into_iter();
            possible.map(|value| value.get_name().to_owned()).collect()
        }
    }
}

/// Names and tags of all services, if somebody tells them.
fn services(directory: Option<&PathBuf>) -> Vec<String> {
    let place = Place::find(directory.map(PathBuf::as_path));
    let reply = place.and_then(|place| client::ask(&place, &Request::new(Command::Status)));
    let Ok(reply) = reply else { return Vec::new() };
    let names = reply.blocks.iter().filter_map(|block| block.get("service")).map(str::to_owned);
    let tags = reply.blocks.iter().flat_map(|block| block.all("tag"));
    names.chain(tags.map(|tag| format!("@{tag}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates_of(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        // Nobody listens there, so there are no services.
        candidates(&words, Some(&PathBuf::from("/nowhere"))).join(" ")
    }

    #[test]
    fn commands_come_first() {
        assert_eq!(candidates_of("st"), "start status stop");
        assert_eq!(candidates_of("--json -r /x st"), "start status stop");
        assert!(!candidates_of("").contains(options::COMPLETE));
    }

    #[test]
    fn options_are_those_of_the_command_and_of_all() {
        assert_eq!(candidates_of("status --w"), "--watch");
        assert_eq!(
            candidates_of("log web --"),
            "--color --follow --grep --help --ignore-case --json --lines --log-dir --run-dir \
             --since --stderr --stdout"
        );
        assert_eq!(candidates_of("reload --"), "--color --dry-run --help --json --run-dir");
        assert_eq!(candidates_of("--co"), "--color");
    }

    #[test]
    fn values_are_those_of_their_option() {
        assert_eq!(candidates_of("--color a"), "always auto");
        assert_eq!(candidates_of("wait web --for d"), "disabled done down");
        assert_eq!(candidates_of("stop --timeout "), "");
    }

    #[test]
    fn places_have_words_of_their_own() {
        assert_eq!(candidates_of("signal US"), "USR1 USR2");
        assert_eq!(candidates_of("signal HUP "), "");
        assert_eq!(candidates_of("keys back"), "backoff backoff-max");
        assert_eq!(candidates_of("new web std"), "stderr= stdin= stdout=");
        assert_eq!(candidates_of("new web user=x min"), "min-uptime=");
        assert_eq!(candidates_of("new web -- min"), "");
        assert_eq!(candidates_of("completions "), "bash fish zsh");
        assert_eq!(candidates_of("nonsense "), "");
    }
}
