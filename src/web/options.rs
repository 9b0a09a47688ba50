//! The command line of going-web(8).

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use super::users::Role;

/// What `--help` prints. `tests/house.rs` holds it against the parser and the
/// manual page.
pub const HELP: &str = "\
going-web shows going's services on a page, and lets programs ask over HTTP

usage: going-web [-r DIR] [--listen ADDRESS]... [--users FILE] [--host NAME]...
                 [--read-only]
       going-web --password NAME [--role ROLE]
       going-web --token NAME [--role ROLE]

  -r, --run-dir DIR      going's run directory
                         (/run/going; a user's own: $XDG_RUNTIME_DIR/going)
      --listen ADDRESS   HOST:PORT with a numeric host, or unix:PATH; may be
                         repeated (127.0.0.1:9001)
      --users FILE       who may come in; nobody else can read it
      --host NAME        a name by which browsers may call us; may be repeated
      --read-only        let nobody change anything
      --password NAME    read a password, print a line for the file of users
      --token NAME       make a token, print it and a line for the file of users
      --role ROLE        of that line: read or full (full)
  -V, --version          print the version
  -h, --help             print this

Without users, everybody on this machine may look, and only those who can connect
to a socket of --listen unix:PATH may change anything. See going-web(8).
";

/// The port of supervisor's web server, whose clients are ours.
const PORT: u16 = 9001;

/// Where we can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Over a network.
    Net(SocketAddr),
    /// By whoever can open this file.
    Unix(PathBuf),
}

/// What we were told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Going's run directory, if it is not the usual one.
    pub run_directory: Option<PathBuf>,
    /// Where to listen; never empty.
    pub addresses: Vec<Address>,
    /// The file of users.
    pub users: Option<PathBuf>,
    /// By which names we may be called.
    pub hosts: Vec<String>,
    /// Nobody may change anything.
    pub is_read_only: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Serve.
    Serve(Options),
    /// Print a line for the file of users.
    Password(String, Role),
    /// The same, for a program.
    Token(String, Role),
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
    let mut options = Options {
        run_directory: None,
        addresses: Vec::new(),
        users: None,
        hosts: Vec::new(),
        is_read_only: false,
    };
    let (mut password, mut token, mut role) = (None, None, Role::Full);
    let mut parser = Parser::from_iter(arguments);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Arg::Short('r') | Arg::Long("run-dir") => {
                options.run_directory = Some(PathBuf::from(value(&mut parser)?));
            }
            Arg::Long("listen") => options.addresses.push(address(&text(&mut parser)?)?),
            Arg::Long("users") => options.users = Some(PathBuf::from(value(&mut parser)?)),
            Arg::Long("host") => options.hosts.push(text(&mut parser)?.to_ascii_lowercase()),
            Arg::Long("read-only") => options.is_read_only = true,
            Arg::Long("password") => password = Some(text(&mut parser)?),
            Arg::Long("token") => token = Some(text(&mut parser)?),
            Arg::Long("role") => {
                let word = text(&mut parser)?;
                role = Role::read(&word).ok_or("--role takes read or full")?;
            }
            Arg::Short('V') | Arg::Long("version") => return Ok(Task::Version),
            Arg::Short('h') | Arg::Long("help") => return Ok(Task::Help),
            Arg::Value(word) => {
                return Err(format!(
                    "what is {}? going-web takes options only",
                    word.to_string_lossy()
                ));
            }
            Arg::Short(_) | Arg::Long(_) => return Err(argument.unexpected().to_string()),
        }
    }
    if let Some(name) = password {
        return Ok(Task::Password(name, role));
    }
    if let Some(name) = token {
        return Ok(Task::Token(name, role));
    }
    if options.addresses.is_empty() {
        let here = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
        options.addresses.push(Address::Net(here));
    }
    Ok(Task::Serve(options))
}

fn value(parser: &mut Parser) -> Result<OsString, String> {
    parser.value().map_err(|error| error.to_string())
}

fn text(parser: &mut Parser) -> Result<String, String> {
    value(parser)?.string().map_err(|error| error.to_string())
}

fn address(word: &str) -> Result<Address, String> {
    if let Some(path) = word.strip_prefix("unix:") {
        let path = PathBuf::from(path);
        return if path.is_absolute() {
            Ok(Address::Unix(path))
        } else {
            Err(format!("--listen {word}: the path must be absolute"))
        };
    }
    let word = word.strip_prefix("tcp:").unwrap_or(word);
    let named = word.replace("localhost:", "127.0.0.1:");
    named.parse().map(Address::Net).map_err(|_| {
        format!("--listen {word}: it takes HOST:PORT with a numeric host, or unix:PATH")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(line: &str) -> Result<Task, String> {
        read(std::iter::once("going-web").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn without_options_only_this_machine_is_listened_to() {
        let Ok(Task::Serve(options)) = task("") else { panic!() };
        let here = "127.0.0.1:9001".parse().unwrap();
        assert_eq!(options.addresses, [Address::Net(here)]);
        assert!(options.users.is_none() && !options.is_read_only);
    }

    #[test]
    fn addresses_are_of_networks_and_files() {
        let Ok(Task::Serve(options)) = task("--listen [::]:80 --listen unix:/run/w") else {
            panic!()
        };
        let all = "[::]:80".parse().unwrap();
        assert_eq!(options.addresses, [Address::Net(all), Address::Unix("/run/w".into())]);
        assert!(task("--listen example.org:80").unwrap_err().contains("numeric host"));
        assert!(task("--listen unix:w").unwrap_err().contains("absolute"));
    }

    #[test]
    fn lines_for_the_file_of_users_have_a_role() {
        assert_eq!(task("--token ci").unwrap(), Task::Token("ci".into(), Role::Full));
        let read = Task::Password("eve".into(), Role::Read);
        assert_eq!(task("--role read --password eve").unwrap(), read);
        assert!(task("--role root --token x").is_err());
        assert!(task("extra").is_err());
    }
}
