//! Which logs are meant: those of the services which going knows, or whatever
//! there is in a directory of logs, where no going tells.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use nix::unistd::Uid;

use crate::client::Trouble;
use crate::client::log::files;
use crate::client::log::{Source, Wanted, of};
use crate::config::nearest::nearest;
use crate::config::values::hint;
use crate::ctl::{Ending, Reply, Session, complain, judge, options, request};
use crate::protocol::{Command, pattern};

/// Where going keeps logs if nobody says otherwise.
const SYSTEM: &str = "/var/log/going";

/// The logs that are meant, and what is wrong so far.
pub type Found = (Vec<Source>, Ending);

/// Finds the logs which a command line means.
///
/// # Errors
/// Nobody can say.
pub fn find(session: &Session, matches: &ArgMatches) -> Result<Found, Trouble> {
    look(session, matches, Tell { complain, judge })
}

/// Finds them once more; whatever is wrong was said before.
///
/// # Errors
/// Nobody can say.
pub fn find_again(session: &Session, matches: &ArgMatches) -> Result<Vec<Source>, Trouble> {
    let quiet = Tell { complain: |_| (), judge: |_| Ending::Done };
    look(session, matches, quiet).map(|(found, _)| found)
}

/// How people are told what is wrong.
#[derive(Clone, Copy)]
struct Tell {
    complain: fn(&str),
    judge: fn(&Reply) -> Ending,
}

fn look(session: &Session, matches: &ArgMatches, tell: Tell) -> Result<Found, Trouble> {
    let wanted = match (options::has(matches, "stdout"), options::has(matches, "stderr")) {
        (true, false) => Wanted::One { is_stderr: false },
        (false, true) => Wanted::One { is_stderr: true },
        _ => Wanted::Both,
    };
    let names = options::texts(matches, "name");
    if let Some(folder) = options::value::<PathBuf>(matches, "log-dir") {
        return in_folder(&folder, &names, wanted, tell);
    }
    let reply = match session.ask(&request(Command::Status, matches)) {
        // What is there can be read without going, if it is that going's.
        Err(trouble @ (Trouble::NoGoing(_) | Trouble::HungUp(_))) => {
            let folder = home().filter(|it| session.directory.is_none() && it.is_dir());
            return in_folder(&folder.ok_or(trouble)?, &names, wanted, tell);
        }
        other => other?,
    };
    let mut ending = (tell.judge)(&reply);
    let mut sources = Vec::new();
    for block in &reply.blocks {
        match of(block, wanted) {
            Ok(found) => add(&mut sources, found),
            Err(why) => {
                (tell.complain)(&why);
                ending = ending.max(Ending::Failed);
            }
        }
    }
    Ok((sources, ending))
}

/// Two services may write to the same file, which is shown once.
fn add(sources: &mut Vec<Source>, found: Vec<Source>) {
    for source in found {
        if !sources.iter().any(|it| it.path == source.path) {
            sources.push(source);
        }
    }
}

/// Where logs are if no going tells.
fn home() -> Option<PathBuf> {
    if Uid::effective().is_root() {
        return Some(PathBuf::from(SYSTEM));
    }
    let set = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join("going").join("log"))
}

/// The logs in a directory which are meant by these names.
fn in_folder(
    folder: &Path,
    names: &[String],
    wanted: Wanted,
    tell: Tell,
) -> Result<Found, Trouble> {
    let known = names_in(folder)?;
    let mut ending = Ending::Done;
    let mut sources = Vec::new();
    for name in names {
        if let Some(tag) = name.strip_prefix('@') {
            let text = format!("only a running going knows which services have the tag `{tag}`");
            return Err(Trouble::Usage(text));
        }
        let is_meant = |known: &&String| *known == name || pattern::matches(name, known);
        let found: Vec<&String> = known.iter().filter(is_meant).collect();
        if found.is_empty() {
            let meant = nearest(name, known.iter().map(String::as_str));
            (tell.complain)(&hint(format!("no log of `{name}` in {}", folder.display()), meant));
            ending = Ending::NoSuch;
        }
        for service in found {
            match in_files(folder, service, wanted) {
                found if found.is_empty() && wanted == Wanted::Both => {
                    (tell.complain)(&format!(
                        "{}: the log of `{service}` is no file",
                        folder.display()
                    ));
                    ending = Ending::NoSuch;
                }
                found if found.is_empty() => {
                    (tell.complain)(&format!("{service}: its stderr has no file of its own"));
                    ending = ending.max(Ending::Failed);
                }
                found => add(&mut sources, found),
            }
        }
    }
    Ok((sources, ending))
}

/// The logs of a service in a directory.
fn in_files(folder: &Path, service: &str, wanted: Wanted) -> Vec<Source> {
    let source = |is_stderr: bool| {
        let suffix = if is_stderr { "+stderr.log" } else { ".log" };
        let path = folder.join(format!("{service}{suffix}"));
        Source { service: service.to_owned(), is_stderr, path }
    };
    // Those whose backups alone are left are there as well.
    let is_there = |it: &Source| files::list(&it.path).is_ok_and(|files| !files.is_empty());
    let is_wanted = |it: &Source| wanted != Wanted::One { is_stderr: !it.is_stderr };
    [false, true].map(source).into_iter().filter(|it| is_wanted(it) && is_there(it)).collect()
}

/// The services which have logs in a directory.
fn names_in(folder: &Path) -> Result<BTreeSet<String>, Trouble> {
    let failed = |error| Trouble::Failed(files::explain(folder, &error));
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.file_name();
        let Some(file) = file.to_str() else { continue };
        // What follows is empty, or that of a backup.
        let Some((name, rest)) = file.rsplit_once(".log") else { continue };
        if !name.is_empty() && (rest.is_empty() || rest.starts_with('.')) {
            names.insert(name.strip_suffix("+stderr").unwrap_or(name).to_owned());
        }
    }
    Ok(names)
}
