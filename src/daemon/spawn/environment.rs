//! The environment of a service, and what is put in for `${NAME}` from it. Built
//! in the parent; files are read only up to a size and never waited for.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Uid, User};

use crate::config::env_file::{self, FILE_MAX};
use crate::config::{Complaint, Spec, Stream, template};
use crate::supervise::{Fault, Step};

/// Where commands are looked for when nobody says, as under init.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What whoever started us wants to hear from us, and from nobody else (sd_notify(3)).
const OURS: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The keys whose values may have variables in them, by the number which
/// `Step::Expand` has for each.
pub const EXPANDED: [&str; 6] = ["cmd", "cwd", "env", "stdin", "stdout", "stderr"];
/// `cmd` in there.
pub const CMD: u8 = 0;
/// `cwd` in there.
pub const CWD: u8 = 1;
const ENV: u8 = 2;
/// `stdin` in there; the other streams follow.
pub const STDIN: u8 = 3;

/// What stands in a `NAME=VALUE` each.
#[derive(Default)]
pub struct Environment {
    variables: Vec<(OsString, OsString)>,
}

impl Environment {
    /// Ours, then what follows from the user, then the files', then the service
    /// file's; a later one wins.
    ///
    /// # Errors
    /// The first file that cannot be read, or variable that is not set.
    pub fn build(name: &str, spec: &Spec, uid: Uid, user: Option<&User>) -> Result<Self, Fault> {
        let mut it = Environment::default();
        if !spec.clean_env {
            let is_passed = |name: &OsStr| !OURS.iter().any(|ours| name == *ours);
            it.variables.extend(env::vars_os().filter(|(name, _)| is_passed(name)));
        }
        if it.get("PATH").is_none() {
            it.set("PATH", DEFAULT_PATH.into());
        }
        if let Some(entry) = user {
            it.set("HOME", entry.dir.clone().into());
            it.set("USER", entry.name.clone().into());
            it.set("LOGNAME", entry.name.clone().into());
            it.set("SHELL", entry.shell.clone().into());
        }
        for (path, which) in spec.env_files.iter().zip(0_u8..) {
            let failed = |errno| Fault { step: Step::EnvFile(which), errno };
            for (name, value) in read_file(path, uid).map_err(|why| failed(why.errno()))? {
                it.set(&name, value.into());
            }
        }
        it.variables.retain(|(name, _)| !spec.unset_env.iter().any(|unset| **unset == **name));
        it.set("GOING_SERVICE", name.into());
        for (name, value) in &spec.env {
            let value = it.expand(value, ENV)?;
            it.set(name, OsString::from_vec(value));
        }
        it.set("GOING_SERVICE", name.into());
        Ok(it)
    }

    fn set(&mut self, name: &str, value: OsString) {
        match self.variables.iter_mut().find(|it| it.0 == name) {
            Some(variable) => variable.1 = value,
            None => self.variables.push((name.into(), value)),
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.variables.iter().find(|it| it.0 == name);
        found.map(|(_, value)| value.as_bytes())
    }

    /// The lines that a program is given.
    pub fn lines(self) -> impl Iterator<Item = Vec<u8>> {
        self.variables.into_iter().map(|(mut line, value)| {
            line.push("=");
            line.push(value);
            line.into_vec()
        })
    }

    /// Puts values into the text of a key.
    ///
    /// # Errors
    /// ENOENT when a variable is not set.
    pub fn expand(&self, text: &str, which: u8) -> Result<Vec<u8>, Fault> {
        let failed = |_| Fault { step: Step::Expand(which), errno: libc::ENOENT };
        template::expand(text, |name| self.get(name)).map_err(failed)
    }

    /// Puts values into a path.
    ///
    /// # Errors
    /// As above, and EINVAL when it is not absolute.
    pub fn expand_path(&self, text: &str, which: u8) -> Result<Vec<u8>, Fault> {
        let path = self.expand(text, which)?;
        let failed = Fault { step: Step::Expand(which), errno: libc::EINVAL };
        if path.starts_with(b"/") { Ok(path) } else { Err(failed) }
    }

    /// What is to be shown of a text: its values as far as there are any.
    pub fn show(&self, text: &str) -> String {
        let text = self.expand(text, CMD).unwrap_or_else(|_| text.into());
        OsStr::from_bytes(&text).to_string_lossy().into_owned()
    }

    /// The first variable in the values of this key that is not set.
    pub fn missing(&self, spec: &Spec, which: u8) -> Option<String> {
        let texts: Vec<&str> = match which {
            CMD => spec.cmd.iter().map(String::as_str).collect(),
            CWD => vec![&spec.cwd],
            ENV => spec.env.iter().map(|(_, value)| value.as_str()).collect(),
            _ => {
                let streams = [&spec.stdin, &spec.stdout, &spec.stderr];
                let stream = streams.get(usize::from(which.saturating_sub(STDIN)));
                stream.and_then(|it| path_of(it)).into_iter().collect()
            }
        };
        let mut names = texts.into_iter().filter_map(|text| {
            let missing = template::expand(text, |name| self.get(name)).err();
            missing.map(str::to_owned)
        });
        names.next()
    }
}

/// The path of a stream that is a file.
pub fn path_of(stream: &Stream) -> Option<&str> {
    match stream {
        Stream::File(path) => Some(path),
        Stream::Null
        | Stream::Inherit
        | Stream::Stdout
        | Stream::Log
        | Stream::Syslog
        | Stream::Pipe => None,
    }
}

/// Why a file of variables is not read.
pub enum Trouble {
    /// The system says so.
    System(i32),
    /// Somebody else may write it.
    Strangers,
    /// There is something wrong in it.
    Content(Complaint),
}

impl Trouble {
    fn errno(&self) -> i32 {
        match self {
            Trouble::System(errno) => *errno,
            Trouble::Strangers => libc::EPERM,
            Trouble::Content(_) => libc::EINVAL,
        }
    }
}

/// The variables in a file, which is `-` and a path if it may be missing.
///
/// # Errors
/// What open(2) and read(2) say, EFBIG when it is too large, and what the file
/// itself is to blame for.
pub fn read_file(path: &str, uid: Uid) -> Result<Vec<(String, String)>, Trouble> {
    let (path, is_optional) = match path.strip_prefix('-') {
        Some(path) => (path, true),
        None => (path, false),
    };
    let failed = |error: std::io::Error| Trouble::System(error.raw_os_error().unwrap_or(libc::EIO));
    // Or a named pipe would have us wait for a writer.
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Err(error) if is_optional && error.raw_os_error() == Some(libc::ENOENT) => {
            return Ok(Vec::new());
        }
        file => file.map_err(failed)?,
    };
    is_trusted(&file, uid)?;
    let mut text = Vec::new();
    let most = u64::try_from(FILE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut text).map_err(failed)?;
    if text.len() > FILE_MAX {
        return Err(Trouble::System(libc::EFBIG));
    }
    env_file::parse(&text).map_err(Trouble::Content)
}

/// As with service files: nobody but root, going's own user and that of the
/// service may have a say in what root's going gives to it.
fn is_trusted(file: &File, uid: Uid) -> Result<(), Trouble> {
    let metadata = file.metadata().map_err(|_| Trouble::System(libc::EIO))?;
    if !metadata.is_file() {
        return Err(Trouble::System(Errno::EINVAL as i32));
    }
    let us = Uid::effective();
    let is_known = [0, us.as_raw(), uid.as_raw()].contains(&metadata.uid());
    let is_everybodys = metadata.mode() & 0o002 != 0;
    if us.is_root() && (!is_known || is_everybodys) { Err(Trouble::Strangers) } else { Ok(()) }
}
