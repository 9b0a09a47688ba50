//! Prepares a child while we are still its parent. Nothing here may run after
//! fork: names are looked up and strings built now, because the child must not.

mod environment;
mod faults;
pub mod foresee;
mod wrap;

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{self, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{self, AccessFlags, Gid, Group, Uid, User};

pub use self::faults::{explain, explain_death, shown};

use self::environment::Environment;
use crate::config::listen::Listen;
use crate::config::{Spec, Stream};
use crate::supervise::{Fault, Step};
use crate::sys::child::Program;
use crate::sys::identity::Identity;
use crate::sys::streams::Source;

/// Looks up and builds all that the service `name` needs to run.
///
/// # Errors
/// The first step that fails, as the child would tell it.
pub fn prepare(name: &str, spec: &Spec) -> Result<Program, Fault> {
    let user = find_user(spec)?;
    let identity = find_identity(spec, user.as_ref())?;
    let environment = surroundings(name, spec, user.as_ref())?;
    let words = spec.cmd.iter().map(|word| environment.expand(word, environment::CMD));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    let path = find_command(spec, words.first(), &environment)?;
    let argv = words.into_iter().map(|word| c_string(word, Step::Parse));
    let cwd = environment.expand_path(&spec.cwd, environment::CWD)?;
    let streams = [
        source(&spec.stdin, 0, &environment)?,
        source(&spec.stdout, 1, &environment)?,
        source(&spec.stderr, 2, &environment)?,
    ];
    Ok(Program {
        path,
        argv: argv.collect::<Result<_, _>>()?,
        envp: environment.lines().map(|it| c_string(it, Step::Parse)).collect::<Result<_, _>>()?,
        cwd: c_string(cwd, Step::Directory)?,
        umask: Mode::from_bits_truncate(spec.umask),
        identity,
        streams,
        has_terminal: false,
        wrapping: wrap::wrapping(spec),
        passed: Vec::new(),
        voice: None,
        slack: None,
        cgroup: None,
    })
}

/// The variables of a service.
fn surroundings(name: &str, spec: &Spec, user: Option<&Account>) -> Result<Environment, Fault> {
    let uid = user.map_or_else(Uid::effective, |user| user.uid);
    Environment::build(name, spec, uid, user.and_then(|user| user.entry.as_ref()))
}

/// The same as far as they can be known, for people.
fn known_surroundings(name: &str, spec: &Spec) -> Environment {
    let user = find_user(spec).ok().flatten();
    surroundings(name, spec, user.as_ref()).unwrap_or_default()
}

/// The user's number, going's own if it has no other.
fn user_id(spec: &Spec) -> Uid {
    find_user(spec).ok().flatten().map_or_else(Uid::effective, |user| user.uid)
}

fn fault(step: Step, errno: Errno) -> Fault {
    Fault { step, errno: errno as i32 }
}

/// The parser lets no NUL through; what the environment holds cannot have one.
fn c_string(text: impl Into<Vec<u8>>, step: Step) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| fault(step, Errno::EINVAL))
}

fn source(stream: &Stream, number: u8, environment: &Environment) -> Result<Source, Fault> {
    Ok(match stream {
        Stream::Null => Source::Null,
        Stream::Inherit => Source::Inherit,
        Stream::File(path) => {
            let path = environment.expand_path(path, environment::STDIN.saturating_add(number))?;
            Source::File(c_string(path, Step::Parse)?)
        }
        Stream::Stdout => Source::Stdout,
        // A pipe takes its place when the service is about to run.
        Stream::Log | Stream::Syslog | Stream::Pipe => Source::Null,
    })
}

/// A user as far as it is known: numbers need no entry in the user database.
struct Account {
    uid: Uid,
    entry: Option<User>,
}

fn find_user(spec: &Spec) -> Result<Option<Account>, Fault> {
    let Some(user) = &spec.user else { return Ok(None) };
    let failed = |errno| fault(Step::FindUser, errno);
    if let Some(entry) = User::from_name(user).map_err(failed)? {
        return Ok(Some(Account { uid: entry.uid, entry: Some(entry) }));
    }
    let uid = Uid::from_raw(user.parse().map_err(|_| failed(Errno::ENOENT))?);
    Ok(Some(Account { uid, entry: User::from_uid(uid).map_err(failed)? }))
}

/// A user of the database with all groups; `None` if there is none of that name or number.
///
/// # Errors
/// It could not be looked up.
pub fn find_login(user: &str) -> Result<Option<(Identity, User)>, Fault> {
    let spec = Spec { user: Some(user.to_owned()), ..Spec::default() };
    let account = match find_user(&spec) {
        Err(it) if it.errno == libc::ENOENT => return Ok(None),
        found => found?,
    };
    let Some(entry) = account.as_ref().and_then(|it| it.entry.clone()) else { return Ok(None) };
    let same = || Identity { uid: entry.uid, gid: entry.gid, groups: Vec::new() };
    let identity = find_identity(&spec, account.as_ref())?;
    Ok(Some((identity.unwrap_or_else(same), entry)))
}

/// Whose the file of a socket is to be: the service's, unless it says otherwise.
pub fn socket_owner(spec: &Spec, listen: &Listen) -> Result<(Option<Uid>, Option<Gid>), Errno> {
    let unknown = |_| Errno::EINVAL;
    let identity = find_identity(spec, find_user(spec).map_err(unknown)?.as_ref());
    let identity = identity.map_err(unknown)?;
    let uid = match &listen.owner {
        Some(owner) => {
            let as_user = Spec { user: Some(owner.clone()), ..Spec::default() };
            find_user(&as_user).map_err(unknown)?.map(|it| it.uid)
        }
        None => identity.as_ref().map(|it| it.uid),
    };
    let gid = match &listen.group {
        Some(group) => Some(find_group(group, Step::FindGroup).map_err(unknown)?),
        None => identity.map(|it| it.gid),
    };
    Ok((uid, gid))
}

fn find_group(group: &str, step: Step) -> Result<Gid, Fault> {
    let failed = |errno| fault(step, errno);
    match Group::from_name(group).map_err(failed)? {
        Some(group) => Ok(group.gid),
        None => group.parse().map(Gid::from_raw).map_err(|_| failed(Errno::ENOENT)),
    }
}

/// Whom the service is to run as; `None` if that is who we are.
fn find_identity(spec: &Spec, user: Option<&Account>) -> Result<Option<Identity>, Fault> {
    if user.is_none() && spec.group.is_none() && spec.groups.is_none() {
        return Ok(None);
    }
    let uid = user.map_or_else(Uid::effective, |user| user.uid);
    let entry = user.and_then(|user| user.entry.as_ref());
    let gid = match (&spec.group, entry) {
        (Some(group), _) => find_group(group, Step::FindGroup)?,
        (None, Some(entry)) => entry.gid,
        // Guessing a group for a bare number would be guessing at rights.
        (None, None) if user.is_some() => return Err(fault(Step::FindGroup, Errno::EINVAL)),
        (None, None) => Gid::effective(),
    };
    let is_us = uid == Uid::effective() && gid == Gid::effective() && spec.groups.is_none();
    if is_us && !uid.is_root() {
        // Nobody but root may set groups, and there is nothing to set.
        return Ok(None);
    }
    let mut groups = match (&spec.groups, entry) {
        (Some(groups), _) => {
            let find = |group: &String| find_group(group, Step::FindGroups);
            groups.iter().map(find).collect::<Result<_, _>>()?
        }
        (None, Some(entry)) => {
            let name = c_string(entry.name.as_str(), Step::FindUser)?;
            unistd::getgrouplist(&name, gid).map_err(|errno| fault(Step::FindGroup, errno))?
        }
        (None, None) => vec![gid],
    };
    groups.sort_unstable_by_key(|group| group.as_raw());
    groups.dedup();
    Ok(Some(Identity { uid, gid, groups }))
}

/// The file to execute: as it is with a slash, else found in the service's PATH,
/// below its own `/`.
fn find_command(
    spec: &Spec,
    command: Option<&Vec<u8>>,
    environment: &Environment,
) -> Result<CString, Fault> {
    let failed = |errno| fault(Step::FindCommand, errno);
    let Some(command) = command else { return Err(failed(Errno::EINVAL)) };
    if command.contains(&b'/') {
        return c_string(command.as_slice(), Step::FindCommand);
    }
    let path = environment.get("PATH").unwrap_or_default();
    let mut errno = Errno::ENOENT;
    let root = spec.sandbox.chroot.as_deref();
    if root.is_some_and(|it| !Path::new(it).is_dir()) {
        // That is what is wrong, not the command in it.
        return Err(fault(Step::Chroot, Errno::ENOENT));
    }
    // A relative entry would mean another file in each working directory.
    for directory in path.split(|&byte| byte == b':').filter(|it| it.starts_with(b"/")) {
        let file = Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(command));
        match is_executable(&file, root) {
            Ok(()) => return c_string(file.into_os_string().into_vec(), Step::FindCommand),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(why) => errno = why,
        }
    }
    Err(failed(errno))
}

/// Whether a file is there and may be executed, for one whose `/` is `root`.
fn is_executable(file: &Path, root: Option<&str>) -> Result<(), Errno> {
    let Some(root) = root else {
        return if file.is_file() {
            unistd::access(file, AccessFlags::X_OK)
        } else {
            Err(Errno::ENOENT)
        };
    };
    // Links in there are followed as the service would follow them.
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
    let root = fcntl::open(root, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    match fcntl::openat2(&root, file, how.resolve(ResolveFlag::RESOLVE_IN_ROOT)) {
        Ok(found) => {
            let mode = fstat(&found)?.st_mode;
            let kind = SFlag::from_bits_truncate(mode) & SFlag::S_IFMT;
            match (kind, mode & 0o111) {
                (SFlag::S_IFREG, 0) => Err(Errno::EACCES),
                (SFlag::S_IFREG, _) => Ok(()),
                _ => Err(Errno::ENOENT),
            }
        }
        Err(errno) => Err(errno),
    }
}
