//! Prepares a child while we are still its parent. Nothing here may run after
//! fork: names are looked up and strings built now, because the child must not.

use std::env;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::{self, AccessFlags, Gid, Group, Uid, User};

use crate::config::{Spec, Stream};
use crate::supervise::{Fault, Step};
use crate::sys::child::{Identity, Program};
use crate::sys::streams::Source;

/// Where commands are looked for when nobody says, as under init.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Looks up and builds all that the service `name` needs to run.
///
/// # Errors
/// The first step that fails, as the child would tell it.
pub fn prepare(name: &str, spec: &Spec) -> Result<Program, Fault> {
    let user = find_user(spec)?;
    let identity = find_identity(spec, user.as_ref())?;
    let environment = environment(name, spec, user.as_ref());
    let path = find_command(spec, &environment)?;
    let envp = environment.into_iter().map(|(mut line, value)| {
        line.push("=");
        line.push(value);
        c_string(line.into_vec(), Step::Parse)
    });
    let argv = spec.cmd.iter().map(|word| c_string(word.as_str(), Step::Parse));
    Ok(Program {
        path,
        argv: argv.collect::<Result<_, _>>()?,
        envp: envp.collect::<Result<_, _>>()?,
        cwd: c_string(spec.cwd.as_str(), Step::Directory)?,
        umask: Mode::from_bits_truncate(spec.umask),
        identity,
        streams: [
            source(&spec.stdin, Step::Stdin)?,
            source(&spec.stdout, Step::Stdout)?,
            source(&spec.stderr, Step::Stderr)?,
        ],
        passed: Vec::new(),
    })
}

fn fault(step: Step, errno: Errno) -> Fault {
    Fault { step, errno: errno as i32 }
}

/// The parser lets no NUL through; what the environment holds cannot have one.
fn c_string(text: impl Into<Vec<u8>>, step: Step) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| fault(step, Errno::EINVAL))
}

fn source(stream: &Stream, step: Step) -> Result<Source, Fault> {
    Ok(match stream {
        Stream::Null => Source::Null,
        Stream::Inherit => Source::Inherit,
        Stream::File(path) => Source::File(c_string(path.as_str(), step)?),
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

type Variables = Vec<(OsString, OsString)>;

/// Ours, then what follows from the user, then the file's; a later one wins.
fn environment(name: &str, spec: &Spec, user: Option<&Account>) -> Variables {
    let mut variables: Variables = env::vars_os().collect();
    let mut set = |name: &str, value: OsString| match variables.iter_mut().find(|it| it.0 == name) {
        Some(variable) => variable.1 = value,
        None => variables.push((name.into(), value)),
    };
    if env::var_os("PATH").is_none() {
        set("PATH", DEFAULT_PATH.into());
    }
    if let Some(entry) = user.and_then(|user| user.entry.as_ref()) {
        set("HOME", entry.dir.clone().into());
        set("USER", entry.name.clone().into());
        set("LOGNAME", entry.name.clone().into());
        set("SHELL", entry.shell.clone().into());
    }
    for (name, value) in &spec.env {
        set(name, value.into());
    }
    set("GOING_SERVICE", name.into());
    variables
}

/// The file to execute: as it is with a slash, else found in the service's PATH.
fn find_command(spec: &Spec, environment: &Variables) -> Result<CString, Fault> {
    let failed = |errno| fault(Step::FindCommand, errno);
    let Some(command) = spec.cmd.first() else { return Err(failed(Errno::EINVAL)) };
    if command.contains('/') {
        return c_string(command.as_str(), Step::FindCommand);
    }
    let path = environment.iter().find(|it| it.0 == "PATH").map_or(&[][..], |it| it.1.as_bytes());
    let mut errno = Errno::ENOENT;
    // A relative entry would mean another file in each working directory.
    for directory in path.split(|&byte| byte == b':').filter(|it| it.starts_with(b"/")) {
        let file = Path::new(std::ffi::OsStr::from_bytes(directory)).join(command);
        if file.is_file() {
            match unistd::access(&file, AccessFlags::X_OK) {
                Ok(()) => return c_string(file.into_os_string().into_vec(), Step::FindCommand),
                Err(why) => errno = why,
            }
        }
    }
    Err(failed(errno))
}

/// What a fault means, in a sentence. `spec` is the one that was to run.
pub fn explain(fault: Fault, spec: &Spec) -> (String, &'static str) {
    let why = crate::sys::describe(fault.errno);
    let stream = |stream: &Stream| match stream {
        Stream::File(path) => path.clone(),
        Stream::Log | Stream::Syslog | Stream::Pipe => "a pipe".to_owned(),
        Stream::Null | Stream::Inherit | Stream::Stdout => "it".to_owned(),
    };
    let user = spec.user.as_deref().unwrap_or("going's own user");
    let command = spec.cmd.first().map_or("", String::as_str);
    match fault.step {
        Step::FindUser => (format!("Can't find user {user}: {why}"), "user"),
        Step::FindGroup if fault.errno == libc::EINVAL => {
            (format!("Can't tell the group of user {user}: it has no entry, so set group="), "user")
        }
        Step::FindGroup => {
            let group = spec.group.as_deref().unwrap_or("of the user");
            (format!("Can't find group {group}: {why}"), "group")
        }
        Step::FindGroups => {
            let groups = spec.groups.as_ref().map_or(String::new(), |groups| groups.join(" "));
            (format!("Can't find all of groups {groups}: {why}"), "groups")
        }
        Step::FindCommand | Step::Execute => (format!("Can't execute {command}: {why}"), "cmd"),
        Step::Stdin => (format!("Can't open {} for stdin: {why}", stream(&spec.stdin)), "stdin"),
        Step::Stdout => {
            (format!("Can't open {} for stdout: {why}", stream(&spec.stdout)), "stdout")
        }
        Step::Stderr => {
            (format!("Can't open {} for stderr: {why}", stream(&spec.stderr)), "stderr")
        }
        Step::Groups => {
            let keys = [("groups", spec.groups.is_some()), ("group", spec.group.is_some())];
            let key = keys.into_iter().find(|&(_, is_set)| is_set).map_or("user", |(key, _)| key);
            (format!("Can't set the groups: {why}"), key)
        }
        Step::Group => (format!("Can't change to the group: {why}"), "group"),
        Step::User => (format!("Can't change to user {user}: {why}"), "user"),
        Step::Directory => {
            (format!("Can't change working directory to {}: {why}", spec.cwd), "cwd")
        }
        Step::Session => (format!("Can't make a session: {why}"), "cmd"),
        Step::Parse => (format!("Can't prepare the command: {why}"), "cmd"),
        Step::Log => (format!("Can't log, going-log cannot be started: {why}"), "stdout"),
        Step::Pipe => (format!("Can't make a pipe: {why}"), "cmd"),
        Step::Fork => (format!("Could not fork: {why}"), "cmd"),
        Step::Late => (format!("Can't execute {command}: not done after 90s"), "cmd"),
    }
}
