//! What stands behind `going-alert listen`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use super::names;
use crate::config::grammar::show;
use crate::config::words::read_count;

/// As supervisor's buffer_size.
const BUFFER: usize = 10;
/// More events than these are a log.
const BUFFER_MAX: u32 = 100_000;
/// More listeners than these are something else.
const POOL_MAX: u32 = 100;

/// Where going-web is if nobody says otherwise.
const SERVER: &str = "http://localhost:9001";

/// Listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Going's run directory, if it is not the usual one.
    pub run_directory: Option<PathBuf>,
    /// The events that are wanted.
    pub events: Vec<&'static str>,
    /// So many of them.
    pub pool: usize,
    /// So many events wait at most.
    pub buffer: usize,
    /// What they are called.
    pub name: String,
    /// Whom they ask.
    pub server_url: String,
    /// Who else may talk to them.
    pub remote: Option<String>,
    /// What to run.
    pub command: Vec<OsString>,
}

/// Reads the rest of the arguments; nothing if help is wanted.
///
/// # Errors
/// A sentence for people.
pub fn read(parser: &mut Parser) -> Result<Option<Listen>, String> {
    let mut listen = Listen {
        run_directory: None,
        events: Vec::new(),
        pool: 1,
        buffer: BUFFER,
        name: std::env::var("GOING_SERVICE").unwrap_or_default(),
        server_url: SERVER.to_owned(),
        remote: None,
        command: Vec::new(),
    };
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Arg::Short('r') | Arg::Long("run-dir") => {
                let value = parser.value().map_err(|error| error.to_string())?;
                listen.run_directory = Some(value.into());
            }
            Arg::Long("events") => listen.events = names::read(&text(parser)?)?,
            Arg::Long("pool") => listen.pool = count(parser, "--pool", POOL_MAX)?,
            Arg::Long("buffer") => listen.buffer = count(parser, "--buffer", BUFFER_MAX)?,
            Arg::Long("name") => listen.name = text(parser)?,
            Arg::Long("server-url") => listen.server_url = text(parser)?,
            Arg::Long("remote") => listen.remote = Some(text(parser)?),
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Value(program) => {
                listen.command.push(program);
                // The options from here on are those of the program.
                let rest = parser.raw_args().map_err(|error| error.to_string())?;
                listen.command.extend(rest);
            }
            Arg::Short(_) | Arg::Long(_) => return Err(argument.unexpected().to_string()),
        }
    }
    if listen.command.is_empty() {
        return Err("listen needs a program, after --".to_owned());
    }
    if listen.events.is_empty() {
        return Err("listen needs --events, such as PROCESS_STATE_EXITED,TICK_60".to_owned());
    }
    if listen.name.is_empty() {
        listen.name = "listener".to_owned();
    }
    // It stands between blanks.
    if listen.name.contains(|it: char| it.is_whitespace() || it.is_control()) {
        return Err(format!("--name {}: no blanks, please", show(&listen.name)));
    }
    Ok(Some(listen))
}

fn text(parser: &mut Parser) -> Result<String, String> {
    parser.value().and_then(ValueExt::string).map_err(|error| error.to_string())
}

fn count(parser: &mut Parser, option: &str, most: u32) -> Result<usize, String> {
    let word = text(parser)?;
    let number = read_count(&word).filter(|it| (1..=most).contains(it));
    let number = number.and_then(|it| usize::try_from(it).ok());
    number.ok_or_else(|| format!("{option} takes a number from 1 to {most}, not {}", show(&word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(line: &str) -> Result<Option<Listen>, String> {
        let words = std::iter::once("going-alert").chain(line.split_whitespace());
        let mut parser = Parser::from_iter(words.map(OsString::from));
        read(&mut parser)
    }

    #[test]
    fn what_comes_behind_the_program_is_its_own() {
        let listen = |line| listen(line).unwrap().unwrap();
        let one = listen("--events TICK_60 --pool 3 --buffer 20 memmon -p x=1GB --pool 5");
        assert_eq!((one.pool, one.buffer, one.command.len()), (3, 20, 5));
        assert_eq!(one.events, ["TICK_60"]);
        let other = listen("--events=TICK --name lis -- --odd-name --events");
        assert_eq!((other.command.len(), &*other.name, other.events.len()), (2, "lis", 3));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let why = |line| listen(line).unwrap_err();
        assert_eq!(why("--events TICK_60"), "listen needs a program, after --");
        assert!(why("-- crashmail").starts_with("listen needs --events"));
        assert!(why("--events TICK_600 -- x").ends_with("did you mean \"TICK_60\"?"));
        assert!(why("--events TICK --pool 0 -- x").starts_with("--pool takes a number"));
        assert_eq!(listen("--help"), Ok(None));
    }
}
