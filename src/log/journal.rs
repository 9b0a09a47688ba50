//! The record of what is being done, written before it is done, in memory that
//! survives us. A SIGKILL may come between any two instructions: whoever comes
//! next finds in here what was read and not yet written. It believes nothing it
//! finds that is not whole, for the file may be anybody's.
//!
//! One batch is under way at a time. Its state is a single word, and what the
//! state promises is stored before the word is:
//!
//! | state | promise |
//! |---|---|
//! | Empty | nothing is under way; the records tell where each stream is |
//! | Reading | `head` is whole, and `input` begins with its sentinel unless the read was done |
//! | Full | `input` and progress `slot` are whole |
//! | Writing | so are `output`, `target` and progress `next`, which comes in force with Full |
//!
//! What goes into a log as it came is written from where it was read to, so that
//! the room for output is room for input as well, but for a little.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollTimeout, poll};

use super::lines::{FLOW_WORDS, Flow, LINE_MAX};
use super::records::{MAGIC, Record, Records, checksum, hash, read_words, reserve};
use super::settings::{SETTINGS_WORDS, Settings};
use crate::sys::journal::Map;

/// So much is read at once.
pub const INPUT: usize = 64 * 1024;
/// So much is written at once: a line of the greatest length, and what we add.
pub const OUTPUT: usize = LINE_MAX + 4096;

/// So much is read at once of what goes into a log as it came.
pub const INPUT_PLAIN: usize = INPUT + OUTPUT - SPARE;
/// Written between that: our own lines, and where lines are broken.
const SPARE: usize = 4096;

const PAGE: usize = 4096;
const INPUT_AT: usize = PAGE;
const RECORDS_AT: usize = INPUT_AT + INPUT + OUTPUT;

const VERSION: u64 = 2;

/// Places of words.
const AT_MAGIC: usize = 0;
const AT_VERSION: usize = 1;
const AT_STATE: usize = 2;
const AT_BOOT: usize = 3;
const AT_HEAD: usize = 8;
const AT_NAME: usize = AT_HEAD + HEAD_WORDS + 1;
const AT_TARGET: usize = 48;
const AT_SLOTS: usize = 64;

const HEAD_WORDS: usize = 8 + SETTINGS_WORDS;
const NAME_WORDS: usize = 8;
const TARGET_WORDS: usize = 5;
const SLOT_WORDS: usize = 3 + FLOW_WORDS;
/// From one to the next, with room for a checksum.
const STRIDE: usize = 16;

/// How many versions of the progress there are: the one in force, the one that
/// may come in force, and one more for a change of mind.
const SLOTS: u64 = 3;

/// So often the lock is asked for, and so long it is waited between, in
/// milliseconds: two seconds in all.
const HOLDS: u32 = 200;
const HOLD: u8 = 10;

/// What a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Output of a service.
    Output = 0,
    /// A line of our own.
    Note = 1,
    /// The end of a stream.
    End = 2,
}

/// How far the batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is none.
    Empty,
    /// It is being read.
    Reading,
    /// It is read.
    Full {
        /// The progress in force.
        slot: u64,
    },
    /// A part of it is being written.
    Writing {
        /// The progress in force.
        slot: u64,
        /// The one that comes in force when all of it is written.
        next: u64,
    },
}

/// What the batch is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The stream.
    pub id: u64,
    /// What is in `input`.
    pub kind: Kind,
    /// How much of it.
    pub length: usize,
    /// The time of the day.
    pub millis: u64,
    /// The time as periods are measured.
    pub now: u64,
    /// How to write it.
    pub settings: Settings,
}

impl Head {
    /// Whether it goes into the log as it came.
    pub fn is_plain(&self) -> bool {
        self.kind == Kind::Output && self.settings.is_plain()
    }

    /// How much input there can be; output has its place behind that.
    pub fn input_max(&self) -> usize {
        if self.is_plain() { INPUT_PLAIN } else { INPUT }
    }
}

/// How much of it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// So much of the input.
    pub at: usize,
    /// All of it.
    pub is_done: bool,
    /// And the stream is here.
    pub flow: Flow,
    /// The number of the file in which it has a line open, if it has one.
    pub ino: u64,
}

/// What is being written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The file, as stat(2) tells.
    pub dev: u64,
    /// Its number.
    pub ino: u64,
    /// How large it was before.
    pub size: u64,
    /// Where the page is that is to be written, seen from the start of the input.
    pub at: usize,
    /// How long it is.
    pub length: usize,
}

/// The mapped file.
pub struct Journal {
    map: Map,
    /// Where each stream is, and what it needs between two batches.
    pub records: Records,
    /// Ours as long as we live.
    _lock: Option<Flock<File>>,
    dice: u64,
}

/// Why there is no journal.
pub enum Refusal {
    /// Another process has it.
    Held,
    /// The kernel says no.
    Failed(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Failed(error)
    }
}

/// Locks the file, if need be after a while: a dead process whose memory somebody
/// looks at in /proc has it until he has seen enough.
fn lock(mut file: File) -> Option<Flock<File>> {
    for _ in 0..HOLDS {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Some(lock),
            Err((it, _)) => file = it,
        }
        let _ = poll(&mut [], PollTimeout::from(HOLD));
    }
    None
}

impl Journal {
    /// Opens a journal, or begins one where there is none; without a file, one
    /// that ends with us. `boot` is a number of this run of the system, and
    /// `seed` anything that nobody can guess. The answer tells whether there was
    /// something in the file that is no journal of ours.
    ///
    /// # Errors
    /// That it is held, or what fallocate(2) and mmap(2) say.
    pub fn open(file: Option<File>, boot: u64, seed: u64) -> Result<(Journal, bool), Refusal> {
        let mut length = 0;
        let file = match file {
            None => None,
            Some(file) => {
                let lock = lock(file).ok_or(Refusal::Held)?;
                length = usize::try_from(lock.metadata()?.size()).unwrap_or(usize::MAX);
                Some(lock)
            }
        };
        let plain: Option<&File> = file.as_deref();
        reserve(plain, RECORDS_AT)?;
        let map = Map::new(plain, 0, RECORDS_AT)?;
        map.keep_in_memory();
        let records = Records::open(plain, RECORDS_AT, length)?;
        let mut journal = Journal { map, records, _lock: file, dice: seed };
        let is_ours = journal.map.word(AT_MAGIC) == MAGIC
            && journal.map.word(AT_VERSION) == VERSION
            && journal.is_whole();
        if !is_ours {
            journal.set_state(State::Empty);
        }
        // Streams of another run of the system have the numbers of ours.
        if !is_ours || journal.map.word(AT_BOOT) != boot {
            journal.records.clear();
            journal.store(AT_BOOT, boot);
        }
        journal.store(AT_VERSION, VERSION);
        journal.store(AT_MAGIC, MAGIC);
        Ok((journal, length > 0 && !is_ours))
    }

    /// Whether all that the state promises is there and can be true.
    fn is_whole(&self) -> bool {
        match self.state() {
            Some(State::Empty) => true,
            Some(State::Reading) => self.head().is_some() && self.progress(0).is_some(),
            Some(State::Full { slot }) => self.head().is_some() && self.progress(slot).is_some(),
            Some(State::Writing { slot, next }) => {
                self.head().is_some()
                    && self.progress(slot).is_some()
                    && self.progress(next).is_some()
                    && self.target().is_some()
            }
            None => false,
        }
    }

    /// The state; `None` if it is none that there can be.
    pub fn state(&self) -> Option<State> {
        let word = self.map.word(AT_STATE);
        let (kind, slot, next) = (word & 0xff, word >> 8 & 0xff, word >> 16);
        if slot >= SLOTS || next >= SLOTS {
            return None;
        }
        match kind {
            0 => Some(State::Empty),
            1 => Some(State::Reading),
            2 => Some(State::Full { slot }),
            3 if slot != next => Some(State::Writing { slot, next }),
            _ => None,
        }
    }

    /// Enters a state. What it promises must have been stored.
    pub fn set_state(&mut self, state: State) {
        let word = match state {
            State::Empty => 0,
            State::Reading => 1,
            State::Full { slot } => 2 | slot << 8,
            State::Writing { slot, next } => 3 | slot << 8 | next << 16,
        };
        self.store(AT_STATE, word);
    }

    fn store(&mut self, index: usize, word: u64) {
        #[cfg(test)]
        super::records::step();
        self.map.set_word(index, word);
    }

    /// What the batch is about, if it is whole.
    pub fn head(&self) -> Option<Head> {
        let words: [u64; HEAD_WORDS] = self.words(AT_HEAD)?;
        let [id, kind, length, millis, now, name, ..] = words;
        let mut settings = [0; SETTINGS_WORDS];
        settings.copy_from_slice(words.get(8..)?);
        let name: usize = usize::try_from(name).ok().filter(|it| *it <= NAME_WORDS * 8)?;
        let length = usize::try_from(length).ok()?;
        let name_sum = self.map.word(AT_NAME + NAME_WORDS);
        let name = self.map.bytes(AT_NAME * 8, name);
        let head = Head {
            id,
            kind: match kind {
                0 => Kind::Output,
                1 => Kind::Note,
                2 => Kind::End,
                _ => return None,
            },
            length,
            millis,
            now,
            settings: Settings::of(name, settings).filter(|_| name_sum == hash(name))?,
        };
        Some(head).filter(|head| head.length <= head.input_max())
    }

    /// Stores what a batch will be about, and that nothing of it is written.
    pub fn set_head(&mut self, head: &Head, sentinel: [u64; 2], record: &Record) {
        let name = head.settings.name.as_bytes();
        let [one, other] = sentinel;
        let count = |number: usize| u64::try_from(number).unwrap_or(0);
        let mut words = [0; HEAD_WORDS];
        let fixed = [head.id, head.kind as u64, count(head.length), head.millis, head.now];
        let rest = [count(name.len()), one, other];
        let all = fixed.into_iter().chain(rest).chain(head.settings.words());
        words.iter_mut().zip(all).for_each(|(place, word)| *place = word);
        self.map.bytes_mut(AT_NAME * 8, name.len()).copy_from_slice(name);
        self.store(AT_NAME + NAME_WORDS, hash(name));
        self.set_words(AT_HEAD, words);
        let Record { flow, ino, .. } = *record;
        self.set_progress(0, &Progress { flow, ino, ..Progress::default() });
    }

    fn sentinel(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(self.map.bytes((AT_HEAD + 6) * 8, 16));
        bytes
    }

    /// Puts something in the place of the input that it cannot be: random bytes,
    /// or for a short one the opposite of its `first` byte.
    pub fn prepare_input(&mut self, length: usize, first: Option<u8>) -> [u64; 2] {
        let sentinel = match first {
            Some(first) => [u64::from_ne_bytes([!first; 8]); 2],
            None => [self.roll(), self.roll()],
        };
        let [one, other] = sentinel.map(u64::to_ne_bytes);
        let input = self.map.bytes_mut(INPUT_AT, length.clamp(16, INPUT_PLAIN));
        // The read must find every page in memory and writable, or it might
        // have to wait inside, where a SIGKILL would cut it short.
        for page in input.chunks_mut(PAGE) {
            page.iter_mut().take(1).for_each(|byte| *byte = 0);
        }
        input.iter_mut().zip(one.into_iter().chain(other)).for_each(|(place, it)| *place = it);
        sentinel
    }

    /// Whether the read was done, which a killed process began or did not begin.
    pub fn was_read(&self, length: usize) -> bool {
        let length = length.min(16);
        self.map.bytes(INPUT_AT, length) != self.sentinel().get(..length).unwrap_or_default()
    }

    /// splitmix64
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.dice ^ self.dice >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Where input is read to.
    pub fn input_mut(&mut self) -> &mut [u8] {
        self.map.bytes_mut(INPUT_AT, INPUT_PLAIN)
    }

    /// The input of a batch, and the place for output.
    pub fn input_and_output(&mut self, head: &Head) -> (&[u8], &mut [u8]) {
        let both = self.map.bytes_mut(INPUT_AT, INPUT + OUTPUT);
        let (input, output) = both.split_at_mut_checked(head.input_max()).unwrap_or_default();
        (input.get(..head.length).unwrap_or_default(), output)
    }

    /// What is being written.
    pub fn page(&self, target: Target) -> &[u8] {
        self.map.bytes(INPUT_AT + target.at, target.length)
    }

    /// What was written so far.
    pub fn progress(&self, slot: u64) -> Option<Progress> {
        let words: [u64; SLOT_WORDS] = self.words(slot_place(slot))?;
        let [at, is_done, ino, flow @ ..] = words;
        let at = usize::try_from(at).ok().filter(|at| *at <= INPUT_PLAIN)?;
        Some(Progress { at, is_done: is_done != 0, flow: Flow::of(flow), ino })
    }

    /// Stores progress in a slot that is not in force.
    pub fn set_progress(&mut self, slot: u64, progress: &Progress) {
        let mut words = [0; SLOT_WORDS];
        let [at, is_done, ino, flow @ ..] = &mut words;
        *at = u64::try_from(progress.at).unwrap_or(0);
        *is_done = u64::from(progress.is_done);
        *ino = progress.ino;
        *flow = progress.flow.words();
        self.set_words(slot_place(slot), words);
    }

    /// What is being written to.
    pub fn target(&self) -> Option<Target> {
        let [dev, ino, size, at, length]: [u64; TARGET_WORDS] = self.words(AT_TARGET)?;
        let (at, length) = (usize::try_from(at).ok()?, usize::try_from(length).ok()?);
        let is_inside = at.checked_add(length)? <= INPUT + OUTPUT;
        is_inside.then_some(Target { dev, ino, size, at, length })
    }

    /// Stores what will be written to.
    pub fn set_target(&mut self, target: Target) {
        let Target { dev, ino, size, at, length } = target;
        let [at, length] = [at, length].map(|it| u64::try_from(it).unwrap_or(0));
        self.set_words(AT_TARGET, [dev, ino, size, at, length]);
    }

    /// Words that are followed by the right checksum.
    fn words<const N: usize>(&self, place: usize) -> Option<[u64; N]> {
        read_words(&self.map, place)
    }

    /// Stores words and their checksum.
    fn set_words<const N: usize>(&mut self, place: usize, words: [u64; N]) {
        for (index, word) in (place..).zip(words) {
            self.store(index, word);
        }
        self.store(place + N, checksum(&words));
    }
}

fn slot_place(slot: u64) -> usize {
    AT_SLOTS + usize::try_from(slot.min(SLOTS - 1)).unwrap_or(0) * STRIDE
}

#[cfg(test)]
#[path = "journal_tests.rs"]
pub mod tests;
