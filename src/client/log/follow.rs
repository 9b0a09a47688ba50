//! Following logs over rotation. inotify is only the doorbell; what is to be
//! read next is found by looking at the files, which are told by their inodes,
//! so that nothing is lost or doubled however often they were renamed meanwhile.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use flate2::Crc;
use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};

use super::files::{self, Entry, Identity, Part, folder};
use super::stream::{Reading, Stream};

/// How often to look where the kernel cannot tell us: the directory is not there
/// yet, or it has no more watches for us.
const BLIND: Duration = Duration::from_secs(1);

/// The watches for one log.
#[derive(Debug, Default)]
struct Place {
    folder: Option<WatchDescriptor>,
    files: Vec<WatchDescriptor>,
    /// The file that was watched last.
    watched: Option<Identity>,
    /// There may be something to read.
    is_dirty: bool,
}

/// Tells when there is more to read.
#[derive(Debug)]
pub struct Follower {
    inotify: Option<Inotify>,
    places: Vec<Place>,
    /// A log was opened that is none of ours, if anybody wants to know.
    has_news: Option<bool>,
}

/// What there is to read next in a log of which all was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Rest,
    /// More.
    More,
    /// More: the log was emptied.
    Emptied,
    /// More, but some was removed before it was read.
    Lost,
}

impl Follower {
    /// Watches these logs, be they there or not. Whatever they hold by now must
    /// be read after this.
    pub fn new(streams: &[Stream]) -> Follower {
        let places = streams.iter().map(|_| Place { is_dirty: true, ..Place::default() }).collect();
        let mut follower = Follower { inotify: Inotify::init().ok(), places, has_news: None };
        for (number, stream) in streams.iter().enumerate() {
            follower.watch_folder(number, stream);
            if let Some(reading) = stream.reading() {
                follower.watch_file(number, &reading.file, reading.identity);
            }
        }
        follower
    }

    /// Tells from now on when a log is opened that is none of these.
    pub fn seek_news(&mut self, streams: &[Stream]) {
        self.has_news = Some(false);
        for (number, stream) in streams.iter().enumerate() {
            self.watch_folder(number, stream);
        }
    }

    /// Whether one was; told, it is no news any more.
    pub fn has_news(&mut self) -> bool {
        self.has_news.as_mut().is_some_and(std::mem::take)
    }

    /// Watches one more log, the last of all.
    pub fn add(&mut self, stream: &Stream) {
        self.places.push(Place { is_dirty: true, ..Place::default() });
        self.watch_folder(self.places.len() - 1, stream);
    }

    /// What to poll, if the kernel tells us anything.
    pub fn doorbell(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// How long to wait at most; nothing is for ever.
    pub fn patience(&self) -> Option<Duration> {
        if self.places.iter().any(|place| place.is_dirty) {
            return Some(Duration::ZERO);
        }
        let is_blind = self.inotify.is_none() || self.places.iter().any(|it| it.folder.is_none());
        is_blind.then_some(BLIND)
    }

    /// Whether this log may have more; asked, it is taken to be read.
    pub fn is_dirty(&mut self, number: usize) -> bool {
        self.places.get_mut(number).is_some_and(|it| std::mem::take(&mut it.is_dirty))
    }

    /// This log was not read to its end.
    pub fn mark(&mut self, number: usize) {
        if let Some(place) = self.places.get_mut(number) {
            place.is_dirty = true;
        }
    }

    /// Reads what the kernel has to tell.
    pub fn hear(&mut self, streams: &[Stream]) {
        let mut buffer = [0; 4096];
        while let Some(Ok(events)) = self.inotify.as_mut().map(|it| it.read_events(&mut buffer)) {
            for event in events {
                let is_overflow = event.mask.contains(EventMask::Q_OVERFLOW);
                // Nothing in it has changed by that yet.
                let is_opened = event.mask.contains(EventMask::OPEN);
                let (mut is_ours, mut is_near) = (false, false);
                // The directory may have another name now, or none.
                let is_over = event
                    .mask
                    .intersects(EventMask::IGNORED | EventMask::MOVE_SELF | EventMask::DELETE_SELF);
                for (place, stream) in self.places.iter_mut().zip(streams) {
                    let name = stream.source.path.file_name().unwrap_or_default().as_bytes();
                    let is_named = event.name.is_none_or(|it| it.as_bytes().starts_with(name));
                    let is_folder = place.folder.as_ref() == Some(&event.wd);
                    let is_file = place.files.contains(&event.wd);
                    place.is_dirty |= is_overflow || is_file || is_folder && is_named && !is_opened;
                    is_near |= is_folder;
                    is_ours |= is_folder && event.name.is_some_and(|it| it.as_bytes() == name);
                    if is_over {
                        place.files.retain(|it| *it != event.wd);
                        place.folder = place.folder.take().filter(|_| !is_folder);
                    }
                }
                let is_log = event.name.is_some_and(|it| it.as_bytes().ends_with(b".log"));
                let is_new = is_overflow || is_near && is_log && !is_ours;
                self.has_news = self.has_news.map(|was| was || is_new);
            }
        }
        for (number, stream) in streams.iter().enumerate() {
            if self.places.get(number).is_some_and(|place| place.folder.is_none()) {
                self.watch_folder(number, stream);
                self.mark(number);
                self.has_news = self.has_news.map(|_| true);
            }
        }
    }

    fn watch_folder(&mut self, number: usize, stream: &Stream) {
        let opened = if self.has_news.is_some() { WatchMask::OPEN } else { WatchMask::empty() };
        let mask = opened
            | WatchMask::CREATE
            | WatchMask::MOVE
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        let Some(inotify) = &self.inotify else { return };
        if let Some(place) = self.places.get_mut(number) {
            place.folder = inotify.watches().add(folder(&stream.source.path), mask).ok();
        }
    }

    /// Watches a file; whether it was not watched before.
    fn watch_file(&mut self, number: usize, file: &fs::File, identity: Identity) -> bool {
        let (Some(inotify), Some(place)) = (&self.inotify, self.places.get_mut(number)) else {
            return false;
        };
        if place.watched.replace(identity) == Some(identity) {
            return false;
        }
        // This very file, wherever it was moved.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        if let Ok(watch) = inotify.watches().add(path, WatchMask::MODIFY) {
            place.files.retain(|it| *it != watch);
            place.files.push(watch);
            // The one before may still be written to.
            while place.files.len() > 2 {
                let _ = inotify.watches().remove(place.files.remove(0));
            }
        }
        true
    }

    /// Finds what is to be read after the end of a log.
    ///
    /// # Errors
    /// What the kernel says of its files.
    pub fn advance(&mut self, number: usize, stream: &mut Stream) -> io::Result<Turn> {
        if stream.rewind()? {
            return Ok(Turn::Emptied);
        }
        let path = stream.source.path.clone();
        let here = match fs::metadata(&path) {
            Ok(stat) => (stat.dev(), stat.ino()),
            // In the midst of a rotation, or not there yet.
            Err(error) if is_absent(&error) => return Ok(Turn::Rest),
            Err(error) => return Err(error),
        };
        let Some(reading) = stream.reading() else {
            let part = match Part::open(&path, false) {
                Err(error) if is_absent(&error) => return Ok(Turn::Rest),
                other => other?,
            };
            self.watch_file(number, &part.file, part.identity);
            stream.append(part);
            return Ok(Turn::More);
        };
        if reading.identity == here {
            // What came before it was watched is to be read as well.
            let is_new = self.watch_file(number, &reading.file, here);
            return Ok(if is_new { Turn::More } else { Turn::Rest });
        }
        let (part, is_next) = match open_successor(&path, reading) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Turn::Rest),
            // Renamed while we looked: look again.
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Turn::More),
            Err(error) => return Err(error),
        };
        self.watch_file(number, &part.file, part.identity);
        // Whoever writes the old one goes on with it until the new one is in use.
        if part.identity == here && part.file.metadata()?.len() == 0 {
            return Ok(Turn::Rest);
        }
        stream.append(part);
        Ok(if is_next { Turn::More } else { Turn::Lost })
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Opens the file that follows. It must do so before and after it is opened: in
/// between it may have been removed, and its inode given to a later one.
fn open_successor(path: &Path, reading: &Reading) -> io::Result<Option<(Part, bool)>> {
    let Some((entry, _)) = successor(path, reading)? else { return Ok(None) };
    let shifted = || io::Error::from(ErrorKind::Interrupted);
    let part = Part::open_seen(&entry)?.ok_or_else(shifted)?;
    let Some((again, is_next)) = successor(path, reading)? else { return Err(shifted()) };
    if again.identity == part.identity { Ok(Some((part, is_next))) } else { Err(shifted()) }
}

/// The file that follows the one which was read, and whether it is certain that
/// there was none between them. `Interrupted` if files were renamed meanwhile.
fn successor(path: &Path, reading: &Reading) -> io::Result<Option<(Entry, bool)>> {
    let entries = match files::list(path) {
        Err(error) if is_absent(&error) => return Ok(None),
        other => other?,
    };
    let place = entries.iter().position(|entry| entry.identity == reading.identity);
    let place = match place {
        Some(place) => Some(place),
        None => packed(&entries, reading)?,
    };
    if let Some(place) = place {
        let newer = place.checked_sub(1).and_then(|place| entries.get(place));
        return Ok(newer.map(|entry| (entry.clone(), true)));
    }
    // It was removed. What was written later is in the files that are newer.
    let modified = reading.modified()?;
    let mut newer = entries.iter().rev().filter(|entry| entry.modified >= modified);
    let next = newer.next().or(entries.first());
    // If that is the one which is written now, the other was removed by hand.
    let is_first = |entry: &Entry| entries.first() == Some(entry);
    Ok(next.map(|entry| (entry.clone(), is_first(entry))))
}

/// Where the file that was read is by now, if it was compressed: what gzip(1)
/// notes at the end, the checksum and the length, tells.
fn packed(entries: &[Entry], reading: &Reading) -> io::Result<Option<usize>> {
    if !entries.iter().any(|entry| entry.is_packed) {
        return Ok(None);
    }
    let mut crc = Crc::new();
    let (mut buffer, mut at) = ([0; 16 * 1024], 0);
    loop {
        let length = reading.file.read_at(&mut buffer, at)?;
        if length == 0 {
            break;
        }
        crc.update(buffer.get(..length).unwrap_or_default());
        at += u64::try_from(length).unwrap_or(0);
    }
    let end = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
    for (place, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.is_packed) {
        // Another file under that name would be found in a wrong place.
        let shifted = || io::Error::from(ErrorKind::Interrupted);
        let part = Part::open_seen(entry)?.ok_or_else(shifted)?;
        if trailer(&part.file).is_ok_and(|it| it[..] == end) {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// The last eight bytes of a file.
fn trailer(file: &fs::File) -> io::Result<[u8; 8]> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, file.metadata()?.len().saturating_sub(8))?;
    Ok(bytes)
}
