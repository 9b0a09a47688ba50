//! From the command line to the first connection.

use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::thread::Builder;

use super::guests::Guests;
use super::meter::Meter;
use super::options::{self, Address, HELP, Options, Task};
use super::server::Door;
use super::users::{self, Users};
use super::{Web, live, server};
use crate::client::Place;
use crate::sys;

/// What going-web(8) exits with, by the numbers of sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Ending {
    /// All is well.
    Ok = 0,
    /// The command line is wrong, or would let strangers in.
    Usage = 64,
    /// The kernel refused something we cannot be without.
    System = 71,
}

/// Runs going-web(8) with the arguments of this process.
pub fn main() -> ExitCode {
    let (ending, why) = match options::read(std::env::args_os()) {
        Ok(task) => match perform(task) {
            Ok(()) => (Ending::Ok, String::new()),
            Err(wrong) => wrong,
        },
        Err(why) => (Ending::Usage, format!("{why}\nusage: going-web (--help says more)")),
    };
    if !why.is_empty() {
        // There is nowhere else to go with it.
        let _ = writeln!(io::stderr(), "going-web: {why}");
    }
    ExitCode::from(ending as u8)
}

type Wrong = (Ending, String);

fn perform(task: Task) -> Result<(), Wrong> {
    let usage = |why: String| (Ending::Usage, why);
    match task {
        Task::Help => say(HELP),
        Task::Version => say(concat!("going-web ", env!("CARGO_PKG_VERSION"), "\n")),
        Task::Password(name, role) => {
            let password = users::read_password().map_err(usage)?;
            let line = users::password_line(&name, role, &password).map_err(usage)?;
            say(&format!("{line}\n"))
        }
        Task::Token(name, role) => {
            let (token, line) = users::token_line(&name, role).map_err(usage)?;
            say(&format!("token: {token}\n{line}\n"))
        }
        Task::Serve(options) => serve(options),
    }
}

fn say(text: &str) -> Result<(), Wrong> {
    let written = io::stdout().write_all(text.as_bytes());
    written.map_err(|error| (Ending::System, format!("can't write: {error}")))
}

fn serve(options: Options) -> Result<(), Wrong> {
    let usage = |why: String| (Ending::Usage, why);
    let place = Place::find(options.run_directory.as_deref());
    let place = place.map_err(|trouble| usage(trouble.sentence().unwrap_or("").to_owned()))?;
    let users = options.users.as_deref().map_or(Ok(Users::none()), Users::load).map_err(usage)?;
    sys::fds::raise_limit();
    let doors = doors(&options.addresses, &users)?;
    let token = users::random().map_err(|error| (Ending::System, error.to_string()))?;
    let web: &'static Web = Box::leak(Box::new(Web {
        place,
        users,
        hosts: options.hosts,
        is_read_only: options.is_read_only,
        token: users::hex(&token),
        meter: Meter::default(),
        guests: Guests::new(server::CONNECTIONS_MAX),
        followers: Guests::new(live::FOLLOWERS_MAX),
    }));
    let mut threads = Vec::new();
    for door in doors {
        let thread = Builder::new().spawn(move || door.serve(web));
        threads.push(thread.map_err(|error| (Ending::System, format!("no thread: {error}")))?);
    }
    for thread in threads {
        // They never end.
        let _ = thread.join();
    }
    Ok(())
}

/// Opens what is to be listened on, or takes what going holds for us.
fn doors(addresses: &[Address], users: &Users) -> Result<Vec<Door>, Wrong> {
    let given = given();
    if !given.is_empty() {
        let doors: Vec<Door> = given.into_iter().map(door_of).collect();
        for door in &doors {
            if let Door::Net(listener) = door {
                let address = listener.local_addr();
                let address = address.map_err(|error| (Ending::System, error.to_string()))?;
                check_safe(&Address::Net(address), users)?;
            }
        }
        return Ok(doors);
    }
    let mut doors = Vec::new();
    for address in addresses {
        check_safe(address, users)?;
        let failed = |error: io::Error| {
            let shown = match address {
                Address::Net(address) => address.to_string(),
                Address::Unix(path) => path.display().to_string(),
            };
            (Ending::System, format!("can't listen on {shown}: {}", sys::explain(&error)))
        };
        doors.push(match address {
            Address::Net(address) => Door::Net(TcpListener::bind(address).map_err(failed)?),
            Address::Unix(path) => Door::File(listen(path).map_err(failed)?),
        });
    }
    Ok(doors)
}

/// Nobody from afar comes in without saying who they are.
fn check_safe(address: &Address, users: &Users) -> Result<(), Wrong> {
    match address {
        Address::Net(address) if users.is_empty() && !address.ip().to_canonical().is_loopback() => {
            let why = format!(
                "{address} can be reached from other machines, so there must be --users; \
                 going-web --password NAME makes a line for that file"
            );
            Err((Ending::Usage, why))
        }
        Address::Net(_) | Address::Unix(_) => Ok(()),
    }
}

/// Listens on a file. What is left of another going-web is replaced, one that
/// still answers never.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|it| it.kind() == io::ErrorKind::ConnectionRefused)
    {
        fs::remove_file(path)?;
    }
    // Nobody else may connect before the mode is right.
    let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    nix::sys::stat::umask(before);
    let listener = listener?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The sockets which going opened for us (sd_listen_fds(3)).
fn given() -> Vec<OwnedFd> {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Vec::new();
    }
    let count = i32::try_from(number("LISTEN_FDS").unwrap_or(0)).unwrap_or(0);
    (3..count.saturating_add(3)).filter_map(sys::fds::inherit).collect()
}

fn door_of(socket: OwnedFd) -> Door {
    let kind = nix::sys::socket::getsockname::<nix::sys::socket::UnixAddr>(
        std::os::fd::AsRawFd::as_raw_fd(&socket),
    );
    match kind {
        Ok(_) => Door::File(UnixListener::from(socket)),
        Err(_) => Door::Net(TcpListener::from(socket)),
    }
}
