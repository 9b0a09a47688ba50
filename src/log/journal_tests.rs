//! Journals that are whole, and journals that are anything else.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::settings::tests::plain;
use super::*;

thread_local! {
    static STEPS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// What a test dies of.
pub struct Killed;

/// Before each store into the journal and each piece of a write: a SIGKILL may
/// come here.
pub fn step() {
    let left = STEPS_LEFT.get();
    if left == Some(0) {
        STEPS_LEFT.set(None);
        std::panic::resume_unwind(Box::new(Killed));
    }
    STEPS_LEFT.set(left.map(|left| left - 1));
}

/// Does something and dies after so many steps; whether it came to its end.
pub fn die_after(steps: u32, what: impl FnOnce()) -> bool {
    STEPS_LEFT.set(Some(steps));
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
    let is_killed = matches!(&done, Err(cause) if cause.is::<Killed>());
    STEPS_LEFT.set(None);
    if let (false, Err(cause)) = (is_killed, done) {
        std::panic::resume_unwind(cause);
    }
    !is_killed
}

/// A directory that is removed at the end.
pub(in crate::log) struct Folder(pub(in crate::log) PathBuf);

impl Folder {
    pub(in crate::log) fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // In memory, if there is such a place, for there are thousands of deaths.
        let base = Path::new("/dev/shm");
        let base = if base.is_dir() { base.to_owned() } else { std::env::temp_dir() };
        let path = base.join(format!("going-log-unit-{}-{count}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(in crate::log) fn file(&self) -> File {
        let mut options = File::options();
        let path = self.0.join("journal");
        options.read(true).write(true).create(true).truncate(false).open(path).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(in crate::log) fn open(file: File) -> (Journal, bool) {
    Journal::open(Some(file), 7, 1).unwrap_or_else(|_| panic!("the journal opens"))
}

fn head() -> Head {
    let settings = plain("web");
    Head { id: 5, kind: Kind::Output, length: 100, millis: 1, now: 2, settings }
}

#[test]
fn what_is_stored_is_found_again() {
    let folder = Folder::new();
    let flow = Flow { column: 3, is_begun: true, ..Flow::default() };
    let progress = Progress { at: 50, is_done: false, flow, ino: 9 };
    let target = Target { dev: 1, ino: 2, size: 3, at: 5, length: 4 };
    {
        let (mut journal, is_strange) = open(folder.file());
        assert!(!is_strange);
        let sentinel = journal.prepare_input(100, None);
        journal.set_head(&head(), sentinel, &Record::default());
        journal.set_progress(2, &progress);
        journal.set_target(target);
        journal.set_state(State::Writing { slot: 0, next: 2 });
    }
    let (journal, is_strange) = open(folder.file());
    assert!(!is_strange);
    assert_eq!(journal.state(), Some(State::Writing { slot: 0, next: 2 }));
    assert_eq!(journal.head(), Some(head()));
    assert_eq!(journal.progress(2), Some(progress));
    assert_eq!(journal.target(), Some(target));
    assert!(!journal.was_read(100));
}

#[test]
fn only_one_process_has_a_journal() {
    let folder = Folder::new();
    let _first = open(folder.file());
    assert!(matches!(Journal::open(Some(folder.file()), 7, 1), Err(Refusal::Held)));
}

#[test]
fn a_read_is_seen_whatever_it_read() {
    for length in 1..40_u8 {
        for first in 0..=255 {
            let mut journal = Journal::open(None, 0, 3).unwrap_or_else(|_| panic!("opens")).0;
            let first_byte = (length < 16).then_some(first);
            let sentinel = journal.prepare_input(usize::from(length), first_byte);
            let head = Head { length: usize::from(length), ..head() };
            journal.set_head(&head, sentinel, &Record::default());
            assert!(!journal.was_read(head.length));
            journal.input_mut()[..head.length].fill(first);
            assert!(journal.was_read(head.length), "{length} times {first}");
            if length > 16 && first > 3 {
                break;
            }
        }
    }
}

#[test]
fn a_journal_of_another_boot_keeps_its_batch_but_no_stream() {
    let folder = Folder::new();
    {
        let (mut journal, _) = open(folder.file());
        let place = journal.records.place_of(5).unwrap();
        assert_eq!(journal.records.get(place).id, 5);
        journal.set_head(&head(), [0; 2], &Record::default());
        journal.set_state(State::Full { slot: 0 });
    }
    let (journal, _) = Journal::open(Some(folder.file()), 8, 1).unwrap_or_else(|_| panic!());
    assert_eq!(journal.records.all().count(), 0);
    assert_eq!(journal.state(), Some(State::Full { slot: 0 }));
}

#[test]
fn what_is_no_journal_is_begun_anew() {
    for text in [&b"text"[..], &[0xff; 200_000], b"goinglog"] {
        let folder = Folder::new();
        folder.file().write_all_at(text, 0).unwrap();
        let (journal, is_strange) = open(folder.file());
        assert!(is_strange);
        assert_eq!(journal.state(), Some(State::Empty));
        assert_eq!(journal.records.all().count(), 0);
    }
}

#[test]
fn a_journal_with_a_wrong_byte_is_seen() {
    // Of the words that a written page needs, each byte that is not zero counts.
    let folder = Folder::new();
    {
        let (mut journal, _) = open(folder.file());
        journal.set_head(&head(), [1, 2], &Record::default());
        journal.set_progress(1, &Progress { at: 7, ..Progress::default() });
        journal.set_target(Target { dev: 1, ino: 2, size: 3, at: 5, length: 4 });
        journal.set_state(State::Writing { slot: 0, next: 1 });
    }
    let mut whole = vec![0; PAGE];
    folder.file().read_exact_at(&mut whole, 0).unwrap();
    let used = whole.iter().enumerate().filter(|(_, byte)| **byte != 0);
    for (at, byte) in used {
        // The number of the boot, and progress that nobody needs.
        if (AT_BOOT * 8..AT_BOOT * 8 + 8).contains(&at) || at / 8 >= AT_SLOTS + 2 * STRIDE {
            continue;
        }
        let file = folder.file();
        file.write_all_at(&whole, 0).unwrap();
        file.write_all_at(&[byte ^ 0x40], at as u64).unwrap();
        let (journal, is_strange) = open(file);
        assert!(is_strange, "byte {at}");
        assert_eq!(journal.state(), Some(State::Empty));
    }
}
