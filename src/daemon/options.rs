//! The command line of going(8). Options say where things are and who hears of
//! them; what is done with services stands in their files.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use super::report::Target;
use crate::config::{Spec, parse::set_default};

/// What `--help` prints. `tests/house.rs` holds it against the parser and the
/// manual page.
pub const HELP: &str = "\
going keeps processes going, one key=value file each in a directory

usage: going [-d DIR] [-r DIR] [-l DIR] [-o KEY=VALUE]... [-v|-q]
             [--report stderr|syslog|file:FILE] [-b] [-p FILE] [-u USER] [--init]
             [--check|--upgrade-check] [-- COMMAND ARGUMENT...]

  -d, --dir DIR           directory of service files
                          (/etc/going.d; a user's own: ~/.config/going.d)
  -r, --run-dir DIR       run directory, with the control socket
                          (/run/going; a user's own: $XDG_RUNTIME_DIR/going)
  -l, --log-dir DIR       directory of the services' logs
                          (/var/log/going; a user's own: ~/.local/state/going/log)
  -o, --option KEY=VALUE  default of a key for every service, may be repeated
      --report TARGET     where reports go: stderr, syslog or file:FILE
                          (stderr on a terminal or without a syslog)
  -b, --background        leave the terminal and whoever started it
  -p, --pidfile FILE      the file that names the pid, while it runs
  -u, --user USER         give up root, and be this user in all that is done
  -v, --verbose           report more
  -q, --quiet             report warnings and errors only
      --init              kill what is left of our descendants at the end, as the end
                          of PID 1 does
      --check             say what is wrong with the files, then exit
      --upgrade-check     say whether this going could take the place of the one
                          that runs, then exit
  -V, --version           print the version
  -h, --help              print this

A command after -- is one more service; it gets our streams, our terminal and
the signals that we get, its end is that of all, and its exit status ours.

signals: TERM or INT stops all services and exits, a second one kills them;
HUP rereads the directory, QUIT exits and leaves them running, USR1 reopens the logs. See going(8) and going(5).
";

/// What we were told.
pub struct Options {
    /// The directory of service files.
    pub directory: PathBuf,
    /// The run directory, if there is a place for one.
    pub run_directory: Option<PathBuf>,
    /// Whether somebody asked for just that one.
    pub is_run_directory_given: bool,
    /// Where logs are kept, if there is a place for them.
    pub log_directory: Option<PathBuf>,
    /// What a service file starts from.
    pub defaults: Spec,
    /// Where reports go, if somebody said so.
    pub target: Option<Target>,
    /// How much is reported: debug 1, normal 0, warnings -1.
    pub verbosity: i8,
    /// What to do at all.
    pub task: Task,
    /// Whether somebody asked for just that directory.
    pub is_directory_given: bool,
    /// The main command's words, if there is one.
    pub command: Vec<OsString>,
    /// The keys that have a default of ours.
    pub given: Vec<String>,
    /// Whether nobody shall outlive us.
    pub is_init: bool,
    /// Whether to leave whoever started us.
    pub is_background: bool,
    /// The file to name our pid in.
    pub pidfile: Option<PathBuf>,
    /// Whom to be.
    pub user: Option<String>,
    /// Whether somebody asked for just that directory of logs.
    pub is_log_directory_given: bool,
    /// A path that means another file in another directory.
    relative: Option<PathBuf>,
}

impl Options {
    fn new(places: Places) -> Options {
        Options {
            directory: PathBuf::new(),
            run_directory: places.run_directory,
            is_run_directory_given: false,
            log_directory: places.log_directory,
            defaults: Spec::default(),
            target: None,
            verbosity: 0,
            task: Task::Supervise,
            is_directory_given: false,
            command: Vec::new(),
            given: Vec::new(),
            is_init: false,
            is_background: false,
            pidfile: None,
            user: None,
            is_log_directory_given: false,
            relative: None,
        }
    }
}

impl Options {
    /// Takes a path, and note of it if it is relative.
    fn path(&mut self, path: OsString) -> PathBuf {
        let path = PathBuf::from(path);
        if path.is_relative() {
            self.relative = Some(path.clone());
        }
        path
    }

    fn read_target(&mut self, target: &OsStr) -> Result<Target, String> {
        Ok(match target.as_bytes() {
            b"stderr" => Target::Stderr,
            b"syslog" => Target::Syslog,
            text => match text.strip_prefix(b"file:") {
                Some(path) => Target::File(self.path(OsStr::from_bytes(path).into())),
                None => return Err("--report takes stderr, syslog or file:FILE".to_owned()),
            },
        })
    }

    /// Takes a `KEY=VALUE`.
    fn set(&mut self, text: &str) -> Result<(), String> {
        set_default(&mut self.defaults, text)?;
        let key = text.split('=').next().unwrap_or_default().trim();
        self.given.push(key.to_owned());
        Ok(())
    }

    /// What does not go with leaving.
    fn check_background(&self) -> Result<(), String> {
        if !self.is_background || self.task != Task::Supervise {
            return Ok(());
        }
        if self.target == Some(Target::Stderr) {
            return Err("-b leaves stderr: --report syslog or file:FILE".to_owned());
        }
        if !self.command.is_empty() {
            return Err("-b leaves the terminal, and a main command needs it".to_owned());
        }
        match &self.relative {
            Some(path) => Err(format!("-b works in /, so {} must be absolute", path.display())),
            None => Ok(()),
        }
    }
}

/// Where there is no directory, and never will be.
const NOWHERE: &str = "/dev/null/going.d";

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Keep services going.
    Supervise,
    /// Look at the files only.
    Check,
    /// Look at the state that another going has written down.
    UpgradeCheck,
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// Reads the arguments; `places` are for what they leave open.
///
/// # Errors
/// A sentence for people.
#[inline(never)]
pub fn read(arguments: impl Iterator<Item = OsString>, places: Places) -> Result<Options, String> {
    let fallback = places.directory.clone();
    let mut options = Options::new(places);
    let mut given = None;
    let mut parser = Parser::from_iter(arguments);
    loop {
        if let Some(words) = after_dashes(&mut parser) {
            options.command = words?;
            break;
        }
        let Some(argument) = parser.next().map_err(|error| error.to_string())? else { break };
        match argument {
            Arg::Short('d') | Arg::Long("dir") => {
                given = Some(options.path(value(&mut parser)?));
            }
            Arg::Short('r') | Arg::Long("run-dir") => {
                options.run_directory = Some(options.path(value(&mut parser)?));
                options.is_run_directory_given = true;
            }
            Arg::Short('l') | Arg::Long("log-dir") => {
                let path = options.path(value(&mut parser)?);
                options.log_directory = Some(absolute(path)?);
                options.is_log_directory_given = true;
            }
            Arg::Short('o') | Arg::Long("option") => options.set(&text(&mut parser)?)?,
            Arg::Long("report") => {
                options.target = Some(options.read_target(&value(&mut parser)?)?);
            }
            Arg::Short('v') | Arg::Long("verbose") => options.verbosity = 1,
            Arg::Short('q') | Arg::Long("quiet") => options.verbosity = -1,
            Arg::Short('b') | Arg::Long("background") => options.is_background = true,
            Arg::Short('p') | Arg::Long("pidfile") => {
                options.pidfile = Some(options.path(value(&mut parser)?));
            }
            Arg::Short('u') | Arg::Long("user") => options.user = Some(text(&mut parser)?),
            Arg::Long("init") => options.is_init = true,
            Arg::Long("check") => options.task = Task::Check,
            Arg::Long("upgrade-check") => options.task = Task::UpgradeCheck,
            Arg::Short('V') | Arg::Long("version") => options.task = Task::Version,
            Arg::Short('h') | Arg::Long("help") => options.task = Task::Help,
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => {
                return Err(argument.unexpected().to_string());
            }
        }
        if matches!(options.task, Task::Help | Task::Version) {
            return Ok(options);
        }
    }
    options.check_background()?;
    options.is_directory_given = given.is_some();
    let nowhere = (!options.command.is_empty()).then(|| PathBuf::from(NOWHERE));
    options.directory = given
        .or(fallback)
        .or(nowhere)
        .ok_or("no directory: neither XDG_CONFIG_HOME nor HOME is set, so give one with -d")?;
    Ok(options)
}

/// The words after a `--`, if that is what comes next.
fn after_dashes(parser: &mut Parser) -> Option<Result<Vec<OsString>, String>> {
    let mut words = parser.try_raw_args()?;
    words.next_if(|word| word == "--")?;
    let words: Vec<_> = words.collect();
    let has_command = words.first().is_some_and(|word| !word.is_empty());
    Some(if has_command { Ok(words) } else { Err("there is no command after --".to_owned()) })
}

fn value(parser: &mut Parser) -> Result<OsString, String> {
    let value = parser.value().map_err(|error| error.to_string())?;
    if value.is_empty() { Err("an option has an empty value".to_owned()) } else { Ok(value) }
}

fn text(parser: &mut Parser) -> Result<String, String> {
    value(parser)?.string().map_err(|error| error.to_string())
}

/// going-log does not share our working directory.
fn absolute(path: PathBuf) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| error.to_string())
}

/// Where things are when nobody says.
pub struct Places {
    /// The service files.
    pub directory: Option<PathBuf>,
    /// The run directory.
    pub run_directory: Option<PathBuf>,
    /// The logs.
    pub log_directory: Option<PathBuf>,
}

impl Places {
    /// The system's places for root, the XDG ones for a user.
    pub fn of(is_root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Places {
        if is_root {
            return Places {
                directory: Some(PathBuf::from("/etc/going.d")),
                run_directory: Some(PathBuf::from("/run/going")),
                log_directory: Some(PathBuf::from("/var/log/going")),
            };
        }
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // Relative values are to be ignored, says the XDG base directory standard.
        let xdg = |name| set(name).filter(|path| path.is_absolute());
        let state = xdg("XDG_STATE_HOME").or_else(|| set("HOME").map(|it| it.join(".local/state")));
        let config = xdg("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|it| it.join(".config")));
        Places {
            directory: config.map(|config| config.join("going.d")),
            run_directory: xdg("XDG_RUNTIME_DIR").map(|run| run.join("going")),
            log_directory: state.map(|state| state.join("going/log")),
        }
    }
}
