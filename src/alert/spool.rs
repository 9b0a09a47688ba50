//! Messages on disk, a file each: written whole and to the disk before anybody is
//! told, removed after. No more of them than there is room for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::event::Alert;
use crate::protocol::Message;

/// Ends the names of those which are not to be tried again.
const REFUSED: &str = ".refused";

/// Makes a directory which nobody else can look into.
///
/// # Errors
/// As mkdir(2).
pub fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file so that it is there whole or not at all, whatever happens.
///
/// # Errors
/// As open(2), write(2), fsync(2) and rename(2).
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!(".{name}"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(name))?;
    // The name is as precious as what it names.
    File::open(folder)?.sync_all()
}

/// The messages of one target.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// Those of `name`.
    pub fn new(root: &Path, name: &str) -> Spool {
        Spool { folder: root.join(name) }
    }

    /// What waits, the oldest first.
    ///
    /// # Errors
    /// As readdir(3), but a spool that was never used is empty.
    pub fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.all()?;
        names.retain(|name| !name.ends_with(REFUSED));
        Ok(names)
    }

    /// How many wait, and how many will never be taken.
    ///
    /// # Errors
    /// As [`Spool::list`].
    pub fn counts(&self) -> io::Result<(usize, usize)> {
        let (waiting, all) = (self.list()?.len(), self.all()?.len());
        Ok((waiting, all.saturating_sub(waiting)))
    }

    fn all(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Puts one in, of the event with this mark; how many had to go for it. One
    /// that is there already, because we died before we had noted that it is, stays.
    ///
    /// # Errors
    /// As [`write`].
    pub fn put(&self, alert: &Alert, mark: &str, room: usize) -> io::Result<usize> {
        make(&self.folder)?;
        let names = self.all()?;
        let ending = format!("-{mark}");
        if names.iter().any(|it| it.trim_end_matches(REFUSED).ends_with(&ending)) {
            return Ok(0);
        }
        let number = |name: &String| name.split('-').next()?.parse::<u64>().ok();
        let last = names.iter().filter_map(number).max().unwrap_or(0);
        let mut bytes = Vec::new();
        alert.facts.write(&mut bytes);
        let excess = (names.len() + 1).saturating_sub(room);
        for name in names.iter().take(excess) {
            self.remove(name)?;
        }
        write(&self.folder, &format!("{:012}{ending}", last.saturating_add(1)), &bytes)?;
        Ok(excess)
    }

    /// Reads one; nothing if it cannot be read, and never will be.
    pub fn read(&self, name: &str) -> Option<Alert> {
        let bytes = fs::read(self.folder.join(name)).ok()?;
        let facts = Message::parse(&bytes).ok().filter(|it| !it.is_empty())?;
        Some(Alert { id: name.to_owned(), facts })
    }

    /// It was told.
    ///
    /// # Errors
    /// As unlink(2).
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// It will never be taken; it is kept for people to look at.
    ///
    /// # Errors
    /// As rename(2).
    pub fn set_aside(&self, name: &str) -> io::Result<()> {
        let refused = self.folder.join(format!("{name}{REFUSED}"));
        fs::rename(self.folder.join(name), refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(text: &str) -> Alert {
        Alert::new("failed", text, 7, &[], &Message::new())
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room_and_none_comes_twice() {
        let root = std::env::temp_dir().join(format!("going-spool-{}", std::process::id()));
        let spool = Spool::new(&root, "ops");
        assert_eq!(spool.list().unwrap(), Vec::<String>::new());
        for (number, dropped) in [(1, 0), (2, 0), (2, 0), (3, 1)] {
            let done = spool.put(&alert(&format!("event {number}")), &format!("p.{number}"), 2);
            assert_eq!(done.unwrap(), dropped, "{number}");
        }
        let names = spool.list().unwrap();
        assert_eq!(names, ["000000000002-p.2", "000000000003-p.3"]);
        assert_eq!(spool.read(&names[0]).unwrap().get("summary"), "event 2");
        spool.set_aside(&names[0]).unwrap();
        spool.remove(&names[1]).unwrap();
        spool.remove(&names[1]).unwrap();
        assert!(spool.list().unwrap().is_empty());
        fs::write(root.join("ops/9-x"), "no message").unwrap();
        assert!(spool.read("9-x").is_none());
        fs::remove_dir_all(root).unwrap();
    }
}
