//! The directory of our files: what is in it, and what is wrong with it. A file that
//! cannot be used stops no other one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::keys;
use super::settings::Settings;
use crate::config::names::{Name, judge};
use crate::config::{Complaint, line_of};
use crate::sys;

/// In bytes. What is larger was put here by mistake.
const FILE_MAX: u64 = 1024 * 1024;

/// What there is to see of a directory without reading its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight(Vec<(PathBuf, u64, u64, i64, i64, u32)>);

/// Looks at it. One that is not there has nothing in it.
pub fn look(path: &Path) -> Sight {
    let Ok(entries) = fs::read_dir(path) else { return Sight::default() };
    let mut seen: Vec<_> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let stat = fs::metadata(&path).ok()?;
            Some((path, stat.ino(), stat.len(), stat.ctime(), stat.ctime_nsec(), stat.mode()))
        })
        .collect();
    seen.sort();
    Sight(seen)
}

/// One of our files.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, by which its target is called.
    pub name: String,
    /// What it says.
    pub settings: Settings,
    /// Its text, for the places of complaints.
    pub text: Vec<u8>,
}

/// All there is in a directory.
#[derive(Debug, Default)]
pub struct Folder {
    /// Those that can be used, by name.
    pub rules: Vec<Rule>,
    /// `FILE:LINE: message` about the others.
    pub complaints: Vec<String>,
}

/// Reads a directory.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> io::Result<Folder> {
    let mut folder = Folder::default();
    let mut paths = Vec::new();
    for entry in fs::read_dir(path)? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        let refuse = |why: &str| format!("{}: {why}", path.display());
        match judge(std::os::unix::ffi::OsStrExt::as_bytes(name)) {
            Name::Skip => continue,
            Name::Template => {
                folder.complaints.push(refuse("there are no templates in here"));
                continue;
            }
            Name::TooLong => {
                folder.complaints.push(refuse("its name is too long (max: 64)"));
                continue;
            }
            Name::Refused(why) => {
                folder.complaints.push(refuse(&why.replace("service name", "name")));
                continue;
            }
            Name::Service => {}
        }
        match read_file(&path) {
            Ok(None) => {}
            Err(why) => folder.complaints.push(refuse(&why)),
            Ok(Some(text)) => match keys::parse(&text) {
                Err(complaints) => {
                    folder.complaints.extend(complaints.iter().map(|it| locate(&path, it)));
                }
                Ok(settings) => {
                    let name = name.to_string_lossy().into_owned();
                    folder.rules.push(Rule { name, settings, text });
                }
            },
        }
    }
    Ok(folder)
}

/// Reads a file; nothing if it is none. As root we run what it says, so nobody else
/// may have written it.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let failed = |error: io::Error| sys::explain(&error);
    let stat = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    if stat.is_dir() {
        return Ok(None);
    }
    if !stat.is_file() {
        return Err("it is not a file".to_owned());
    }
    if stat.len() > FILE_MAX {
        return Err("it is too large (max: 1048576)".to_owned());
    }
    if Uid::effective().is_root() {
        if stat.mode() & 0o002 != 0 {
            return Err("everybody may write it; chmod o-w".to_owned());
        }
        if stat.uid() != 0 {
            return Err(format!("it belongs to uid {}, not to root", stat.uid()));
        }
    }
    fs::read(path).map(Some).map_err(failed)
}

/// A complaint with its place.
pub fn locate(path: &Path, complaint: &Complaint) -> String {
    match complaint.line {
        0 => format!("{}: {}", path.display(), complaint.message),
        line => format!("{}:{line}: {}", path.display(), complaint.message),
    }
}

/// What is wrong with what the files name, as complaints with their places.
pub fn examine(path: &Path, rule: &Rule) -> Vec<String> {
    let wrong = super::deliver::foresee(&rule.settings).into_iter();
    let wrong = wrong.map(|(key, message)| Complaint { line: line_of(&rule.text, key), message });
    wrong.map(|complaint| locate(&path.join(&rule.name), &complaint)).collect()
}
