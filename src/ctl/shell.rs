//! The interactive shell, and programs that are commands of goingctl by their
//! names. Each command is a process of its own, as in any shell, so that Ctrl-C
//! ends that one and not us.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use clap::ArgMatches;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Editor, Helper};
use signal_hook::consts::signal::SIGINT;
use signal_hook::low_level::pipe;

use super::{Ending, Session, complain, complete, options, print};
use crate::client::Trouble;
use crate::config::grammar::{show, split};
use crate::config::nearest::nearest;
use crate::config::values::hint;
use crate::sys;

/// Runs `goingctl-NAME`, if there is such a program, in our place.
#[expect(clippy::disallowed_methods, reason = "it starts a tool of the operator's")]
pub fn plug_in(session: &Session, name: &str, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let commands = options::commands();
    let unknown = || {
        let meant = nearest(name, commands.iter().map(String::as_str));
        Trouble::Usage(hint(format!("no command {}", show(name)), meant))
    };
    // With a slash in it, it would not be looked for in the PATH.
    if !name.bytes().all(is_name) {
        return Err(unknown());
    }
    let program = format!("goingctl-{name}");
    let mut command = Command::new(&program);
    command.args(matches.get_many::<OsString>("").into_iter().flatten());
    if let Ok(place) = session.place() {
        command.env("GOINGCTL_SOCKET", place.socket);
    }
    let error = command.exec();
    if error.kind() == io::ErrorKind::NotFound {
        return Err(unknown());
    }
    Err(Trouble::Failed(format!("can't run {program}: {}", sys::explain(&error))))
}

/// Reads commands and runs them, until there are no more.
pub fn converse(session: &Session) -> Result<Ending, Trouble> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return edit(session);
    }
    let mut ending = Ending::Done;
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| Trouble::Failed(sys::explain(&error)))?;
        match obey(session, &line) {
            Some(next) => ending = next,
            None => break,
        }
    }
    Ok(ending)
}

/// Reads lines from somebody who types them.
fn edit(session: &Session) -> Result<Ending, Trouble> {
    let failed = |error: ReadlineError| Trouble::Failed(format!("can't read: {error}"));
    // While a command runs, Ctrl-C is its business. A program that is run has
    // no handlers, so it is not deaf.
    let (_ears, ear) = UnixStream::pair().map_err(|error| failed(error.into()))?;
    pipe::register(SIGINT, ear).map_err(|error| failed(error.into()))?;
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .max_history_size(1000)
        .map_err(failed)?
        .build();
    let mut editor: Editor<Completion, FileHistory> =
        Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(Completion { directory: session.directory.clone() }));
    let history = history();
    if let Some(history) = &history {
        let _ = editor.load_history(history);
    }
    print("The commands of goingctl, one a line; help tells them, Ctrl-D ends.\n")?;
    let mut ending = Ending::Done;
    loop {
        match editor.readline("going> ") {
            Ok(line) => match obey(session, &line) {
                Some(next) => ending = next,
                None => break,
            },
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed(error)),
        }
    }
    if let Some(history) = &history {
        // A history that cannot be written is not worth a word.
        let _ = history.parent().map(std::fs::create_dir_all);
        let _ = editor.save_history(history);
    }
    Ok(ending)
}

/// Where the history is kept, by the XDG base directory standard.
fn history() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(set("HOME")?.join(".local/state")));
    Some(state?.join("goingctl").join("history"))
}

/// Runs one line; nothing if it ends the shell.
fn obey(session: &Session, line: &str) -> Option<Ending> {
    let words = match split(line) {
        Ok(words) => words,
        Err(why) => {
            complain(&format!("the line {why}"));
            return Some(Ending::Usage);
        }
    };
    match words.first().map(String::as_str) {
        None => Some(Ending::Done),
        Some(word) if word.starts_with('#') => Some(Ending::Done),
        Some("exit" | "quit") => None,
        Some("help" | "?") => Some(start(session, &["--help".to_owned()])),
        Some(_) => Some(start(session, &words)),
    }
}

/// Runs ourselves with these words, and waits.
#[expect(clippy::disallowed_methods, reason = "it starts goingctl again, as a shell does")]
fn start(session: &Session, words: &[String]) -> Ending {
    let is_option = words.first().is_some_and(|word| word.starts_with('-') && word != "--help");
    if is_option {
        // Only options, and a shell within the shell would be what they get.
        complain("a command comes first");
        return Ending::Usage;
    }
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("goingctl"));
    let mut command = Command::new(program);
    if let Some(directory) = &session.directory {
        command.arg("-r").arg(directory);
    }
    if session.is_json {
        command.arg("--json");
    }
    command.arg("--color").arg(if session.style.has_color { "always" } else { "never" });
    match command.args(words).status() {
        Ok(status) => ending(status),
        Err(error) => {
            complain(&format!("can't run goingctl: {}", sys::explain(&error)));
            Ending::Failed
        }
    }
}

fn ending(status: ExitStatus) -> Ending {
    match status.code() {
        Some(0) => Ending::Done,
        Some(2) => Ending::Usage,
        Some(3) => Ending::NotRunning,
        Some(4) => Ending::NoSuch,
        _ => Ending::Failed,
    }
}

/// Completes what is typed.
struct Completion {
    directory: Option<PathBuf>,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..position).unwrap_or(line);
        let start = typed.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
        let mut words: Vec<String> = typed.split_whitespace().map(str::to_owned).collect();
        if start == typed.len() {
            words.push(String::new());
        }
        let found = complete::candidates(&words, self.directory.as_ref()).into_iter();
        // After a whole word one goes on with the next.
        let found = found.map(|word| if word.ends_with('=') { word } else { format!("{word} ") });
        Ok((start, found.collect()))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}
