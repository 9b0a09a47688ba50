//! The files that are one log: the one which is written now, and its backups.
//! Whatever is no regular file is refused, so that nothing here ever waits.

use std::cmp::Reverse;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use nix::libc;
use nix::unistd::{Gid, Group, Uid, User};

use crate::sys;

/// What a file is, whatever it is called: its device and inode.
pub type Identity = (u64, u64);

/// The place of a file among those of its log, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Current,
    /// `web.log.1`
    Numbered(u32),
    /// `web.log.20261121T100506.123`
    Timed(Reverse<Vec<u8>>),
}

/// A file that was seen in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub path: PathBuf,
    /// Which.
    pub identity: Identity,
    /// Whether it is compressed.
    pub is_packed: bool,
    /// When it was last written, in milliseconds since 1970.
    pub modified: u64,
    rank: Rank,
}

/// While a directory is read its files may be rotated; hardly so often in a row.
const TRIES: usize = 100;

/// The files of the log that is written to `path`, the newest first. The first
/// one is `path` itself, if it is there.
///
/// # Errors
/// What opendir(3) and stat(2) say; `Interrupted` if it does not hold still.
pub fn list(path: &Path) -> io::Result<Vec<Entry>> {
    // A file that is renamed while we look may be seen twice, or not at all;
    // nobody is passed over by two looks that see the same.
    let same = |a: &Entry, b: &Entry| (&a.path, a.identity) == (&b.path, b.identity);
    let mut entries = look(path)?;
    for _ in 0..TRIES {
        let again = look(path)?;
        if entries.len() == again.len() && entries.iter().zip(&again).all(|(a, b)| same(a, b)) {
            return Ok(again);
        }
        entries = again;
    }
    let why = "it is rotated faster than it can be read";
    Err(io::Error::new(ErrorKind::Interrupted, why))
}

fn look(path: &Path) -> io::Result<Vec<Entry>> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let mut entries: Vec<Entry> = Vec::new();
    for found in fs::read_dir(folder(path))? {
        let found = found?;
        let Some(rest) = found.file_name().as_bytes().strip_prefix(name).map(<[u8]>::to_vec) else {
            continue;
        };
        let (plain, is_packed) = match rest.strip_suffix(b".gz") {
            Some(plain) => (plain, true),
            None => (rest.as_slice(), false),
        };
        let Some(rank) = rank(plain, is_packed) else { continue };
        let stat = match fs::metadata(found.path()) {
            // It was renamed since, or is a link to nowhere.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        if rank == Rank::Current && !stat.is_file() {
            return Err(no_file());
        }
        if stat.is_file() {
            let identity = (stat.dev(), stat.ino());
            let modified = modified(&stat);
            entries.push(Entry { path: found.path(), identity, is_packed, modified, rank });
        }
    }
    // While it is compressed, a backup is there twice; the plain one is whole.
    entries.sort_by(|a, b| (&a.rank, a.is_packed).cmp(&(&b.rank, b.is_packed)));
    entries.dedup_by(|b, a| a.rank == b.rank);
    Ok(entries)
}

fn no_file() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")
}

/// The directory of a file.
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn rank(rest: &[u8], is_packed: bool) -> Option<Rank> {
    if rest.is_empty() {
        return (!is_packed).then_some(Rank::Current);
    }
    let text = std::str::from_utf8(rest.strip_prefix(b".")?).ok()?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if is_number(text) {
        return Some(Rank::Numbered(text.parse().ok()?));
    }
    let (day, time) = text.split_once('T')?;
    let is_time = is_number(day) && day.len() == 8 && is_number(&time.replacen('.', "", 1));
    is_time.then(|| Rank::Timed(Reverse(text.as_bytes().to_vec())))
}

/// When a file was last written, in milliseconds since 1970.
pub fn modified(stat: &fs::Metadata) -> u64 {
    let seconds = u64::try_from(stat.mtime()).unwrap_or(0);
    seconds
        .saturating_mul(1000)
        .saturating_add(u64::try_from(stat.mtime_nsec()).unwrap_or(0) / 1_000_000)
}

/// A file that is open, and no other one whatever happens to its name.
#[derive(Debug)]
pub struct Part {
    /// The file.
    pub file: File,
    /// Where it was.
    pub path: PathBuf,
    /// Which it is.
    pub identity: Identity,
    /// Whether it is compressed.
    pub is_packed: bool,
    /// How many bytes of what is in it are not to be read.
    pub skip: u64,
}

impl Part {
    /// Opens what is at a path now.
    ///
    /// # Errors
    /// What open(2) says; `InvalidInput` if it is no regular file.
    pub fn open(path: &Path, is_packed: bool) -> io::Result<Part> {
        // A pipe would make us wait for whoever writes it.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let link = fs::symlink_metadata(path)?;
        let is_ours = link.uid() == 0 || link.uid() == Uid::effective().as_raw();
        if link.is_symlink() && !is_ours {
            return Err(io::Error::other("it is a link that somebody else made"));
        }
        // What is no link now must be none when it is opened.
        let flags = if link.is_symlink() { flags } else { flags | libc::O_NOFOLLOW };
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let stat = file.metadata()?;
        if !stat.is_file() {
            return Err(no_file());
        }
        let identity = (stat.dev(), stat.ino());
        Ok(Part { file, path: path.to_owned(), identity, is_packed, skip: 0 })
    }

    /// Opens the file that was seen; nothing if another one has its name by now.
    /// Look again before you rely on it: the number of an inode that was removed
    /// is given to a new file soon, but not while one is open.
    ///
    /// # Errors
    /// As [`Part::open`].
    pub fn open_seen(entry: &Entry) -> io::Result<Option<Part>> {
        match Part::open(&entry.path, entry.is_packed) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => Ok(Some(other?).filter(|part| part.identity == entry.identity)),
        }
    }

    /// What is in it, from its beginning.
    ///
    /// # Errors
    /// What dup(2) and lseek(2) say.
    pub fn body(&self) -> io::Result<Body> {
        use std::io::Seek;
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(if self.is_packed {
            Body::Packed(Box::new(MultiGzDecoder::new(file)))
        } else {
            Body::Plain(file)
        })
    }
}

/// What is in a file.
#[derive(Debug)]
pub enum Body {
    /// As it is there.
    Plain(File),
    /// Compressed; boxed, for it is large.
    Packed(Box<MultiGzDecoder<File>>),
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Body::Plain(file) => file.read(buffer),
            Body::Packed(decoder) => decoder.read(buffer),
        }
    }
}

/// What is to be said of a log that cannot be read: if it is a matter of rights,
/// whose it is, and what would help.
pub fn explain(path: &Path, error: &io::Error) -> String {
    let shown = crate::config::grammar::visible(&path.to_string_lossy());
    let text = format!("can't read {shown}: {}", sys::explain(error));
    if error.kind() != ErrorKind::PermissionDenied {
        return text;
    }
    // Where not even the directory may be looked at, that one is what matters.
    let known = path.ancestors().find_map(|it| Some((it, fs::metadata(it).ok()?)));
    let Some((place, stat)) = known else { return text };
    let user = User::from_uid(Uid::from_raw(stat.uid())).ok().flatten();
    let user = user.map_or_else(|| stat.uid().to_string(), |user| user.name);
    let group = Group::from_gid(Gid::from_raw(stat.gid())).ok().flatten();
    let group = group.map_or_else(|| stat.gid().to_string(), |group| group.name);
    let what = if place == path { "it".to_owned() } else { place.display().to_string() };
    let mode = stat.mode() & 0o7777;
    let help = match mode & 0o040 {
        0 => "ask as root".to_owned(),
        // Whoever is in the group of nobody, is so by accident.
        _ if group == "nogroup" || group == "nobody" => "ask as root".to_owned(),
        _ => format!("ask as root, or as a member of the group {group}"),
    };
    format!("{text}\n{what} belongs to {user}:{group}, mode {mode:04o}; {help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_log_are_told_from_others_and_in_order() {
        let folder = std::env::temp_dir().join(format!("going-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in [
            "web.log",
            "web.log.1",
            "web.log.2",
            "web.log.2.gz",
            "web.log.10.gz",
            "web.log.20261121T100506.123",
            "web.log.20261122T100506.123.gz",
            "web.log.gz",
            "web.log.1.log",
            "web.log.1.gz.tmp",
            "web.log.",
            "web.log.+1",
            "web.logx",
            "web2.log",
            "web+stderr.log",
        ] {
            fs::write(folder.join(name), "").unwrap();
        }
        fs::create_dir_all(folder.join("web.log.3")).unwrap();
        let names: Vec<String> = list(&folder.join("web.log"))
            .unwrap()
            .iter()
            .map(|entry| entry.path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "web.log",
                "web.log.1",
                "web.log.2",
                "web.log.10.gz",
                "web.log.20261122T100506.123.gz",
                "web.log.20261121T100506.123",
            ]
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
