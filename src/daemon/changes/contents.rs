//! What is at a path that a service watches: told by a digest of its content, so
//! that neither times nor names but only another content is a change. On the way
//! all is listened to that could make it another: the links that lead there, the
//! directories they are in, and the files themselves. It must never open what is
//! no regular file: some devices begin to work when they are opened.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use inotify::WatchMask;
use nix::libc;

use crate::config::names;
use crate::supervise::digest;

/// More links than these lead nowhere (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// What is below that is no configuration that somebody wrote.
const DEPTH_MAX: usize = 8;

/// More files than these are none either, and reading them would take too long.
const FILES_MAX: usize = 1000;

/// A larger file is known by its size, its number and the time of its last change.
const READ_MAX: u64 = 1 << 20;

/// What happens to names.
const NAMES: WatchMask = WatchMask::CREATE.union(WatchMask::MOVE).union(WatchMask::DELETE);
/// What happens to a directory, or a file, as such.
const ITSELF: WatchMask = WatchMask::MOVE_SELF.union(WatchMask::DELETE_SELF);
/// What happens to what is in a file, and that it loses a name.
const CONTENT: WatchMask = WatchMask::MODIFY
    .union(WatchMask::CLOSE_WRITE)
    .union(WatchMask::ATTRIB)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::DELETE_SELF);

/// Listens to a path; to what happens to one name in there, or to all.
pub type Listen<'a> = &'a mut dyn FnMut(&Path, WatchMask, Option<&OsStr>);

/// A number that is another one when the content at `path` is.
pub fn look(path: &Path, listen: Listen) -> u64 {
    match resolve(path, listen) {
        Some(found) if found.is_dir() => {
            let mut files = 0;
            look_into(&found, DEPTH_MAX, &mut files, listen)
        }
        Some(found) => read(&found, listen),
        None => 0,
    }
}

fn kind(path: &Path) -> Option<FileType> {
    fs::symlink_metadata(path).ok().map(|it| it.file_type())
}

/// Follows all links, and listens to each step; `None` if it leads nowhere.
fn resolve(path: &Path, listen: Listen) -> Option<PathBuf> {
    let mut here = PathBuf::from("/");
    let mut rest: VecDeque<PathBuf> = path.components().map(|it| it.as_os_str().into()).collect();
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        match part.components().next()? {
            Component::RootDir | Component::Prefix(_) => here = PathBuf::from("/"),
            Component::CurDir => {}
            Component::ParentDir => {
                here.pop();
            }
            Component::Normal(name) => {
                let next = here.join(name);
                if kind(&next).is_none_or(|it| !it.is_dir()) || rest.is_empty() {
                    listen(&here, NAMES, Some(name));
                }
                // Looked at again: it may have come while we turned to it.
                match kind(&next) {
                    None => return None,
                    Some(it) if it.is_symlink() => {
                        links += 1;
                        let target = fs::read_link(&next).ok().filter(|_| links <= LINKS_MAX)?;
                        let parts: Vec<_> = target.components().collect();
                        for part in parts.into_iter().rev() {
                            rest.push_front(part.as_os_str().into());
                        }
                    }
                    Some(it) => {
                        if it.is_dir() {
                            listen(&next, ITSELF, None);
                        }
                        here = next;
                    }
                }
            }
        }
    }
    Some(here)
}

/// All files in a directory and below it, without those that are set aside.
fn look_into(directory: &Path, depth: usize, files: &mut usize, listen: Listen) -> u64 {
    listen(directory, NAMES | ITSELF, None);
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.retain(|name| !names::is_aside(name.as_bytes()));
    names.sort_unstable();
    let mut sum = 1;
    for name in names {
        let path = directory.join(&name);
        let content = match kind(&path) {
            Some(it) if it.is_dir() && depth > 0 => look_into(&path, depth - 1, files, listen),
            // A link to a directory could lead back here.
            Some(it) if it.is_dir() || it.is_symlink() && path.is_dir() => continue,
            _ if *files >= FILES_MAX => return sum,
            _ => read(&path, listen),
        };
        *files = files.saturating_add(1);
        sum = mix(mix(sum, name.as_bytes()), &content.to_le_bytes());
    }
    sum
}

fn mix(sum: u64, bytes: &[u8]) -> u64 {
    digest(&[&sum.to_le_bytes()[..], bytes].concat())
}

/// The digest of a file, or of why there is none.
fn read(path: &Path, listen: Listen) -> u64 {
    listen(path, CONTENT, None);
    read_file(path)
        .unwrap_or_else(|error| mix(2, &error.raw_os_error().unwrap_or(libc::EIO).to_le_bytes()))
}

fn read_file(path: &Path) -> io::Result<u64> {
    // Nothing happens to what is opened like this, whatever it is (open(2)).
    let held = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
    let stat = held.metadata()?;
    if !stat.is_file() {
        return Ok(mix(3, &stat.mode().to_le_bytes()));
    }
    if stat.len() > READ_MAX {
        let marks = [stat.len().to_le_bytes(), stat.ino().to_le_bytes()];
        let times = [stat.mtime().to_le_bytes(), stat.mtime_nsec().to_le_bytes()];
        return Ok(mix(4, &[marks, times].concat().concat()));
    }
    let mut file = File::open(format!("/proc/self/fd/{}", held.as_raw_fd()))?.take(READ_MAX);
    let (mut buffer, mut sum) = (Vec::new(), 5);
    loop {
        buffer.clear();
        // Pieces of the same size each time, or the same content would look new.
        let length = file.by_ref().take(4096).read_to_end(&mut buffer)?;
        if length == 0 {
            return Ok(sum);
        }
        sum = mix(sum, &buffer);
    }
}
