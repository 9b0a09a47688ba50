//! Where each stream is between two batches, kept in the file of the journal so
//! that it survives us: whether it has a line open, and in which file; whether it
//! is inside of an escape sequence; what of it was lost and is not told yet.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use super::lines::{FLOW_WORDS, Flow};
use crate::sys::journal::Map;

/// Records come in pages of so many bytes, more when they are needed.
const PAGE: usize = 8192;
const PAGES_MAX: usize = 1024;

/// From one record to the next, in words, with room for a checksum.
const STRIDE: usize = 16;
const WORDS: usize = 3 + FLOW_WORDS;
const A_PAGE: usize = PAGE / 8 / STRIDE;

/// What the file begins with.
pub const MAGIC: u64 = u64::from_le_bytes(*b"goinglog");

/// A stream between its batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Record {
    /// The stream; 0 is a free place.
    pub id: u64,
    /// Which log it writes, as [`hash`].
    pub log: u64,
    /// The number of the file in which its line is.
    pub ino: u64,
    /// Where it is.
    pub flow: Flow,
}

/// All of them.
pub struct Records {
    pages: Vec<Map>,
    file: Option<File>,
    /// Where they begin in the file.
    offset: usize,
}

impl Records {
    /// Opens what is in a file of `length` bytes from `offset` on.
    ///
    /// # Errors
    /// What fallocate(2) and mmap(2) say.
    pub fn open(file: Option<&File>, offset: usize, length: usize) -> io::Result<Records> {
        let file = file.map(File::try_clone).transpose()?;
        let mut records = Records { pages: Vec::new(), file, offset };
        // More streams than a process may have descriptors are no streams.
        let pages = (length.saturating_sub(offset) / PAGE).clamp(1, PAGES_MAX);
        while records.pages.len() < pages {
            records.add_page()?;
        }
        Ok(records)
    }

    fn add_page(&mut self) -> io::Result<()> {
        let offset = self.offset + self.pages.len() * PAGE;
        reserve(self.file.as_ref(), offset + PAGE)?;
        self.pages.push(Map::new(self.file.as_ref(), offset, PAGE)?);
        Ok(())
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        for place in 0..self.places() {
            self.set(place, &Record::default());
        }
    }

    fn places(&self) -> usize {
        A_PAGE * self.pages.len()
    }

    /// The place of a stream's record, or a free one, which is its own from now on.
    ///
    /// # Errors
    /// What the file system says when another page is needed.
    pub fn place_of(&mut self, id: u64) -> io::Result<usize> {
        if let Some(place) = self.find(id) {
            return Ok(place);
        }
        let place = match self.find(0) {
            Some(place) => place,
            None => {
                self.add_page()?;
                self.places() - A_PAGE
            }
        };
        self.set(place, &Record { id, ..Record::default() });
        Ok(place)
    }

    fn find(&self, id: u64) -> Option<usize> {
        // By the number alone: one that was being stored when somebody was
        // killed is not whole, and will be stored again.
        let id_at = |place: usize| {
            self.pages.get(place / A_PAGE).map(|page| page.word(place % A_PAGE * STRIDE))
        };
        (0..self.places()).find(|&place| id_at(place) == Some(id))
    }

    /// A record; an empty one if there is none or it is not whole.
    pub fn get(&self, place: usize) -> Record {
        let page = self.pages.get(place / A_PAGE);
        let words: Option<[u64; WORDS]> =
            page.and_then(|page| read_words(page, place % A_PAGE * STRIDE));
        let Some([id, log, ino, flow @ ..]) = words else { return Record::default() };
        Record { id, log, ino, flow: Flow::of(flow) }
    }

    /// Stores a record.
    pub fn set(&mut self, place: usize, record: &Record) {
        let mut words = [0; WORDS];
        let [id, log, ino, flow @ ..] = &mut words;
        (*id, *log, *ino, *flow) = (record.id, record.log, record.ino, record.flow.words());
        let Some(page) = self.pages.get_mut(place / A_PAGE) else { return };
        let all = words.into_iter().chain([checksum(&words)]);
        for (index, word) in (place % A_PAGE * STRIDE..).zip(all) {
            step();
            page.set_word(index, word);
        }
    }

    /// All that are in use, and where.
    pub fn all(&self) -> impl Iterator<Item = (usize, Record)> {
        let all = (0..self.places()).map(|place| (place, self.get(place)));
        all.filter(|(_, record)| record.id != 0)
    }
}

/// A number for text: FNV-1a.
pub fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A number for words, by which stored ones are known to be whole.
pub fn checksum(words: &[u64]) -> u64 {
    words
        .iter()
        .fold(MAGIC, |sum, &word| (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29))
}

/// Words that are followed by their checksum.
pub fn read_words<const N: usize>(map: &Map, place: usize) -> Option<[u64; N]> {
    let mut words = [0; N];
    for (index, word) in (place..).zip(&mut words) {
        *word = map.word(index);
    }
    (map.word(place + N) == checksum(&words)).then_some(words)
}

/// Makes the file that long for certain: a mapped page for which there is no
/// memory later on would be our death.
///
/// # Errors
/// What fallocate(2) says.
pub fn reserve(file: Option<&File>, length: usize) -> io::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let length = i64::try_from(length).map_err(io::Error::other)?;
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Err(Errno::EOPNOTSUPP) if file.metadata()?.size() >= length.unsigned_abs() => Ok(()),
        Err(Errno::EOPNOTSUPP) => file.set_len(length.unsigned_abs()),
        done => Ok(done?),
    }
}

/// Before each store: here the tests let us die.
pub fn step() {
    #[cfg(test)]
    super::journal::tests::step();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_again_and_grow() {
        let mut records = Records::open(None, 0, 0).unwrap();
        for id in 1..=200 {
            let place = records.place_of(id).unwrap();
            assert_eq!(records.get(place).id, id);
            let flow = Flow { column: 5, ..Flow::default() };
            records.set(place, &Record { id, log: id * 2, ino: id * 3, flow });
        }
        assert_eq!(records.all().count(), 200);
        for id in 1..=200 {
            let place = records.place_of(id).unwrap();
            let record = records.get(place);
            assert_eq!(
                (record.id, record.log, record.ino, record.flow.column),
                (id, id * 2, id * 3, 5)
            );
        }
        let place = records.place_of(7).unwrap();
        records.set(place, &Record::default());
        assert_eq!(records.place_of(201).unwrap(), place, "a free place is used again");
        records.clear();
        assert_eq!(records.all().count(), 0);
    }

    #[test]
    fn what_is_not_whole_is_empty() {
        let mut records = Records::open(None, 0, 0).unwrap();
        let place = records.place_of(9).unwrap();
        records.pages[0].set_word(1, 77);
        assert_eq!(records.get(place), Record::default());
        assert_eq!(records.place_of(9).unwrap(), place);
    }
}
