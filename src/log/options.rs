//! The command line of going-log(8), which going writes and people seldom do.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

/// What `--help` prints.
pub const HELP: &str = "\
going-log writes the logs of going's services; going starts it

usage: going-log -l DIR [--socket FD|PATH] [--journal FD|PATH]
       going-log --compress <FILE >FILE.gz

  -l, --log-dir DIR      directory of the logs
      --socket FD|PATH   the listening socket by its number, or where to make
                         one (3)
      --journal FD|PATH  the journal by its number, or its file (4)
      --compress         compress stdin to stdout, a file, and exit
  -V, --version          print the version
  -h, --help             print this

signals: TERM or INT writes what is in the pipes and exits; HUP opens all logs
again. See going-log(8).
";

/// Something that is open already, or that we open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// This descriptor.
    Number(i32),
    /// This path.
    Path(PathBuf),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Write logs.
    Log { directory: PathBuf, socket: Place, journal: Place },
    /// Compress standard input.
    Compress,
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
    let mut directory = None;
    let (mut socket, mut journal) = (Place::Number(3), Place::Number(4));
    let mut parser = Parser::from_iter(arguments);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Arg::Short('l') | Arg::Long("log-dir") => {
                directory = Some(PathBuf::from(value(&mut parser)?));
            }
            Arg::Long("socket") => socket = place(value(&mut parser)?)?,
            Arg::Long("journal") => journal = place(value(&mut parser)?)?,
            Arg::Long("compress") => return Ok(Task::Compress),
            Arg::Short('V') | Arg::Long("version") => return Ok(Task::Version),
            Arg::Short('h') | Arg::Long("help") => return Ok(Task::Help),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => {
                return Err(argument.unexpected().to_string());
            }
        }
    }
    let directory = directory.ok_or("no directory for the logs; give one with -l")?;
    Ok(Task::Log { directory, socket, journal })
}

fn place(value: OsString) -> Result<Place, String> {
    match value.parse::<i32>() {
        Ok(number) if number > 2 => Ok(Place::Number(number)),
        Ok(_) => Err("a descriptor must be above 2".to_owned()),
        Err(_) => Ok(Place::Path(PathBuf::from(value))),
    }
}

fn value(parser: &mut Parser) -> Result<OsString, String> {
    let value = parser.value().map_err(|error| error.to_string())?;
    if value.is_empty() { Err("an option has an empty value".to_owned()) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(words: &str) -> Result<Task, String> {
        read(["going-log"].into_iter().chain(words.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn going_says_where_logs_are() {
        let directory = PathBuf::from("/l");
        let (socket, journal) = (Place::Number(3), Place::Number(4));
        let task = Task::Log { directory: directory.clone(), socket, journal };
        assert_eq!(read_words("-l /l"), Ok(task));
        let (socket, journal) = (Place::Path("s".into()), Place::Number(9));
        let task = Task::Log { directory, socket, journal };
        assert_eq!(read_words("--log-dir /l --socket s --journal 9"), Ok(task));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in ["", "-x", "-l", "-l a b", "-l a --socket 2", "--journal="] {
            assert!(read_words(words).is_err(), "{words}");
        }
        assert_eq!(read_words("--compress"), Ok(Task::Compress));
        assert_eq!(read_words("-l a -h"), Ok(Task::Help));
        assert_eq!(read_words("-V"), Ok(Task::Version));
    }
}
