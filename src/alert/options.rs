//! The command line of going-alert(8).

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use super::listen::{self, Listen};

/// What `--help` prints. `tests/house.rs` holds it against the parser and the
/// manual page.
pub const HELP: &str = "\
going-alert tells somebody what happens to going's services

usage: going-alert [-r DIR] [-d DIR] [-s DIR]
       going-alert [-d DIR] --check
       going-alert [-d DIR] --test TARGET
       going-alert listen [-r DIR] --events LIST [--pool NUMBER]
                   [--buffer NUMBER] [--name NAME] [--server-url URL]
                   [--remote USER] [--] COMMAND [ARGUMENT]...

  -r, --run-dir DIR   going's run directory
                      (/run/going; a user's own: $XDG_RUNTIME_DIR/going)
  -d, --dir DIR       directory of who is told what, a file each
                      (/etc/going-alert.d; a user's own:
                      $XDG_CONFIG_HOME/going-alert.d)
  -s, --spool DIR     directory of what is not sent yet
                      (/var/spool/going-alert; a user's own:
                      $XDG_STATE_HOME/going-alert)
      --check         say what is wrong with the files, and do nothing
      --test TARGET   send a test message as the file of this name says, now
  -V, --version       print the version
  -h, --help          print this

listen runs an event listener of supervisor, unchanged:
      --events LIST   what it hears of, such as PROCESS_STATE_EXITED,TICK_60
      --pool NUMBER   so many processes of it share the work (1)
      --buffer NUMBER so many events wait at most, the oldest go first (10)
      --name NAME     what it is called (the name of this service)
      --server-url URL  where going-web is (http://localhost:9001)
      --remote USER   as whom going-web runs, if not as we do

See going-alert(8).
";

/// Where things are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Going's run directory, if it is not the usual one.
    pub run_directory: Option<PathBuf>,
    /// That of our files.
    pub directory: Option<PathBuf>,
    /// That of the spools.
    pub spool: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Follow what happens.
    Follow(Options),
    /// Say what is wrong.
    Check(Options),
    /// Send a test to this target.
    Test(Options, String),
    /// Run listeners of supervisor.
    Listen(Box<Listen>),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// Reads the arguments.
///
/// # Errors
/// A sentence for people.
pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Task, String> {
    let mut options = Options::default();
    let (mut is_check, mut target) = (false, None);
    let mut parser = Parser::from_iter(arguments);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Arg::Short('r') | Arg::Long("run-dir") => {
                options.run_directory = Some(path(&mut parser)?)
            }
            Arg::Short('d') | Arg::Long("dir") => options.directory = Some(path(&mut parser)?),
            Arg::Short('s') | Arg::Long("spool") => options.spool = Some(path(&mut parser)?),
            Arg::Long("check") => is_check = true,
            Arg::Long("test") => {
                let word = parser.value().and_then(ValueExt::string);
                target = Some(word.map_err(|error| error.to_string())?);
            }
            Arg::Short('V') | Arg::Long("version") => return Ok(Task::Version),
            Arg::Short('h') | Arg::Long("help") => return Ok(Task::Help),
            Arg::Value(word) if word == "listen" => {
                let listen = listen::read(&mut parser)?;
                return Ok(listen.map_or(Task::Help, |it| {
                    let run_directory = it.run_directory.or(options.run_directory);
                    Task::Listen(Box::new(Listen { run_directory, ..it }))
                }));
            }
            Arg::Value(word) => {
                let word = word.to_string_lossy();
                return Err(format!("what is {word}? going-alert takes options, or listen"));
            }
            Arg::Short(_) | Arg::Long(_) => return Err(argument.unexpected().to_string()),
        }
    }
    match (is_check, target) {
        (true, Some(_)) => Err("--check or --test, but not both".to_owned()),
        (true, None) => Ok(Task::Check(options)),
        (false, Some(target)) => Ok(Task::Test(options, target)),
        (false, None) => Ok(Task::Follow(options)),
    }
}

fn path(parser: &mut Parser) -> Result<PathBuf, String> {
    parser.value().map(PathBuf::from).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(line: &str) -> Result<Task, String> {
        read(std::iter::once("going-alert").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn it_follows_unless_it_is_told_otherwise() {
        assert_eq!(task(""), Ok(Task::Follow(Options::default())));
        let Ok(Task::Test(options, target)) = task("-d /x --test ops") else { panic!() };
        assert_eq!((options.directory, target), (Some("/x".into()), "ops".to_owned()));
        assert!(matches!(task("--check"), Ok(Task::Check(_))));
        assert!(task("--check --test ops").is_err());
        assert!(task("ops").unwrap_err().contains("what is ops?"));
    }
}
