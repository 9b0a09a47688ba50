//! The directory of service files. inotify is only the doorbell; the listing is
//! the truth, read whole each time, so that an overflow, a rename or a replaced
//! directory cannot be misunderstood. It must never wait for a file, which is
//! why everything but regular files is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use nix::unistd::Uid;

use crate::config::grammar::visible;
use crate::config::names::{self, Name};
use crate::supervise::Moment;

/// Beyond this a file is no service file but a mistake.
const MAX_FILE: u64 = 1 << 20;

/// The directory and the watches on it.
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// When it was read last.
    pub read_at: Option<Moment>,
    inotify: Inotify,
    /// The directory itself, while it is there.
    inside: Option<WatchDescriptor>,
    /// What it is, or will be, an entry of, where that can change.
    around: Option<WatchDescriptor>,
    /// The run directory.
    home: Option<WatchDescriptor>,
    /// Something happened to that.
    pub is_home_hit: bool,
}

/// What the doorbell tells of the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ring {
    /// It is what it was.
    None,
    /// Something became of files which were set aside, as those are that are moved into
    /// their place when they are whole.
    Aside,
    /// Files were moved into it: nobody is writing.
    Whole,
    /// Something is another thing.
    Other,
}

/// An entry which might be a service.
pub struct Entry {
    /// Its name, as far as it can be shown.
    pub name: String,
    /// Why it cannot be one, if its name or its template is to blame.
    pub refusal: Option<String>,
    /// The name of its file.
    pub file: String,
}

impl Directory {
    /// Watches `path`, be it there or not.
    ///
    /// # Errors
    /// What inotify_init1(2) says.
    pub fn new(path: PathBuf) -> io::Result<Directory> {
        let inotify = Inotify::init()?;
        let (inside, around, home) = (None, None, None);
        let mut directory =
            Directory { path, read_at: None, inotify, inside, around, home, is_home_hit: false };
        directory.watch();
        Ok(directory)
    }

    /// What to poll.
    pub fn doorbell(&self) -> RawFd {
        self.inotify.as_raw_fd()
    }

    /// Reads all events, and tells what they can have changed.
    pub fn has_rung(&mut self) -> Ring {
        let mut ring = Ring::None;
        // Space for three events with the longest names there can be (inotify(7)).
        let mut buffer = [0; 1024];
        loop {
            let events = match self.inotify.read_events(&mut buffer) {
                Ok(events) => events,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // What cannot be read may have been a ring, and rings but once.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return ring,
                Err(_) => return Ring::Other,
            };
            for event in events {
                let is_home = self.home.as_ref() == Some(&event.wd);
                // Of an overflow it is not known what is lost.
                self.is_home_hit |= is_home || event.mask.contains(EventMask::Q_OVERFLOW);
                if is_home && self.inside.as_ref() != Some(&event.wd) {
                    continue;
                }
                let is_inside = self.inside.as_ref() == Some(&event.wd);
                let is_around = self.around.as_ref() == Some(&event.wd) && !is_inside;
                let is_noise = is_around
                    && !event.mask.contains(EventMask::IGNORED)
                    && event
                        .name
                        .is_some_and(|name| !self.path.ancestors().any(|it| it.ends_with(name)));
                let is_aside = event.name.is_some_and(|name| names::is_aside(name.as_bytes()));
                let is_whole = event.mask.contains(EventMask::MOVED_TO);
                ring = ring.max(match (is_inside, is_aside, is_whole) {
                    _ if is_noise => Ring::None,
                    (true, true, _) => Ring::Aside,
                    (true, false, true) => Ring::Whole,
                    _ => Ring::Other,
                });
            }
        }
    }

    /// Watches what is at the path now: another directory may have taken the
    /// place of the one we know.
    pub fn watch(&mut self) {
        let inside = WatchMask::CREATE
            | WatchMask::MODIFY
            | WatchMask::CLOSE_WRITE
            | WatchMask::ATTRIB
            | WatchMask::MOVE
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        let around = WatchMask::CREATE | WatchMask::MOVE | WatchMask::DELETE | WatchMask::ONLYDIR;
        let mut watches = self.inotify.watches();
        let old = [self.inside.take(), self.around.take()];
        self.inside = watches.add(&self.path, inside).ok();
        // A link can be switched without its target noticing.
        let is_link = fs::symlink_metadata(&self.path).is_ok_and(|it| it.is_symlink());
        if self.inside.is_none() || is_link {
            let mut ancestors = self
                .path
                .ancestors()
                .skip(1)
                .map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
            self.around = ancestors.find_map(|path| watches.add(path, around).ok());
            // It may have come while we turned to its parent.
            self.inside = self.inside.take().or_else(|| watches.add(&self.path, inside).ok());
        }
        for old in old.into_iter().flatten() {
            if self.inside.as_ref() != Some(&old) && self.around.as_ref() != Some(&old) {
                // Gone with its directory, it is removed already.
                let _ = watches.remove(old);
            }
        }
    }

    /// Listens to what is removed from the run directory, and to its own removal.
    pub fn attend(&mut self, path: &Path) {
        let mask = WatchMask::DELETE
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::MASK_ADD
            | WatchMask::ONLYDIR;
        let old = self.home.take();
        self.home = self.inotify.watches().add(path, mask).ok();
        if let Some(old) = old.filter(|old| self.home.as_ref() != Some(old)) {
            // Gone with its directory, it is removed already.
            let _ = self.inotify.watches().remove(old);
        }
    }

    /// Which directory is there, and when it or its place changed last.
    pub fn condition(path: &Path) -> Option<(u64, u64, i64, i64)> {
        let stat = fs::metadata(path).ok()?;
        Some((stat.dev(), stat.ino(), stat.ctime(), stat.ctime_nsec()))
    }

    /// Whether somebody tells us of changes.
    pub fn is_watched(&self) -> bool {
        self.inside.is_some()
    }

    /// All services and templates by name, without what is silently neither.
    ///
    /// # Errors
    /// What opendir(3) and readdir(3) say; a half-read directory is none.
    pub fn list(path: &Path) -> io::Result<Vec<Entry>> {
        let is_open_to_all = |mode: u32| mode & 0o1002 == 0o002;
        let entries = fs::read_dir(path)?;
        if Uid::effective().is_root() && is_open_to_all(fs::metadata(path)?.mode()) {
            return Err(io::Error::other("everybody may write to it; chmod o-w it"));
        }
        let mut list = Vec::new();
        for entry in entries {
            let entry = entry?;
            let file_name = entry.file_name();
            let name = file_name.to_string_lossy().into_owned();
            let refusal = match names::judge(file_name.as_bytes()) {
                Name::Skip => continue,
                Name::Service | Name::Template => None,
                Name::TooLong => Some(format!(
                    "Configuration file name {} is too long (max: {})",
                    visible(&name),
                    names::NAME_MAX
                )),
                Name::Refused(why) => {
                    Some(format!("{}: {why}", path.join(visible(&name)).display()))
                }
            };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            // No service has a refused name, so it can be one that is safe to show.
            let name = if refusal.is_some() { visible(&name) } else { name };
            list.push(Entry { file: name.clone(), name, refusal });
        }
        list.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    /// The names of services whose files are set aside.
    pub fn list_disabled(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let name = name.strip_suffix(".disabled")?;
            let is_one = matches!(names::judge(name.as_bytes()), Name::Service | Name::Template);
            is_one.then(|| name.to_owned())
        });
        names.collect()
    }

    /// The text of a service file, `None` for what turns out to be a directory
    /// or gone.
    ///
    /// # Errors
    /// Whatever is wrong with the file, in words.
    pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
        // Not to hang on a pipe, nor to take a terminal for our own.
        let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // A link that leads nowhere is there; a file that just went is not.
                let is_link = fs::symlink_metadata(path).is_ok();
                return if is_link { Err(error) } else { Ok(None) };
            }
            other => other?,
        };
        let stat = file.metadata()?;
        if stat.is_dir() {
            return Ok(None);
        }
        let refuse = |why: &str| Err(io::Error::other(why));
        if !stat.is_file() {
            return refuse("it is not a regular file");
        }
        if stat.len() > MAX_FILE {
            return refuse("it is larger than 1 MiB");
        }
        if Uid::effective().is_root() {
            if stat.mode() & 0o002 != 0 {
                return refuse("everybody may write to it; chmod o-w it");
            }
            if stat.uid() != 0 {
                return refuse("it does not belong to root, as it must when root runs going");
            }
        }
        read_all(file).map(Some)
    }
}

fn read_all(file: File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // It may grow while it is read; one byte more than allowed tells.
    file.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_moved_into_its_place_is_told_from_one_that_is_written() {
        let path = std::env::temp_dir().join(format!("going-confdir-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let mut directory = Directory::new(path.clone()).unwrap();
        let file = |name| path.join(name);
        let mv = |from, to| fs::rename(file(from), file(to)).unwrap();
        assert_eq!(directory.has_rung(), Ring::None);
        fs::write(file(".web.new"), "cmd=a").unwrap();
        assert_eq!(directory.has_rung(), Ring::Aside);
        mv(".web.new", "web");
        assert_eq!(directory.has_rung(), Ring::Whole);
        // An editor which keeps the old one is about to write the new one.
        mv("web", "web~");
        assert_eq!(directory.has_rung(), Ring::Other);
        fs::write(file("web"), "cmd=b").unwrap();
        assert_eq!(directory.has_rung(), Ring::Other);
        mv("web~", "other");
        fs::write(file("web"), "cmd=c").unwrap();
        assert_eq!(directory.has_rung(), Ring::Other, "one is whole, the other is being written");
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(directory.has_rung(), Ring::Other);
    }
}
