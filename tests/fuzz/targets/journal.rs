//! A journal that anybody may have written: whatever is in it, going-log must
//! live, believe no length and no name, and write nothing but logs.

#![no_main]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use going::config::{Full, Timestamps};
use going::log::files::Files;
use going::log::journal::{Head, INPUT, Journal, Kind, Progress, State, Target};
use going::log::lines::Flow;
use going::log::records::Record;
use going::log::settings::{self, Settings};
use going::log::writer::Writer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (&seed, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let folder = Folder::new();
    if seed & 1 != 0 {
        stored(&folder, seed, bytes);
    }
    if seed & 2 != 0 {
        // Somewhere in the first page, where all that matters is.
        let at = bytes.first().map_or(0, |&it| u64::from(it) * 4);
        folder.file().write_all_at(bytes, at).expect("a journal to spoil");
    }
    let Ok((journal, _)) = Journal::open(Some(folder.file()), 1, 1) else { panic!("not opened") };
    let files = Files::new(folder.0.join("log"));
    let mut writer = Writer { journal, files, rotated: Vec::new() };
    writer.recover(1_000_000);
    assert_eq!(writer.journal.state(), Some(State::Empty), "a batch was left");
    let names = fs::read_dir(folder.0.join("log")).into_iter().flatten();
    for entry in names {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("ASCII");
        assert!(name.contains(".log"), "{name}");
        assert!(entry.metadata().expect("its size").len() < 10 << 20);
    }
});

/// Stores what is well formed, but may make no sense.
fn stored(folder: &Folder, seed: u8, bytes: &[u8]) {
    let Ok((mut journal, _)) = Journal::open(Some(folder.file()), 1, 1) else {
        panic!("not opened")
    };
    let mut numbers =
        bytes.chunks(3).map(|it| it.iter().fold(0, |sum, &it| sum << 8 | u64::from(it)));
    let mut number = |below: u64| numbers.next().unwrap_or(0) % below;
    let settings = Settings {
        name: "web".into(),
        is_stderr: number(2) == 0,
        target: settings::Target::File,
        // 0 is never. Each backup of those that are kept for ever costs a look at all
        // others, and nobody means a thousand of them.
        size: match number(2000) {
            0 => 0,
            size => size.max(500),
        },
        keep: u32::try_from(number(5)).expect("small"),
        is_compressed: false,
        timestamps: [Timestamps::No, Timestamps::Utc, Timestamps::Local][number(3) as usize],
        is_stripped: number(2) == 0,
        rate: None,
        full: Full::Drop,
    };
    let count = |number: u64| usize::try_from(number).expect("small");
    let kind = [Kind::Output, Kind::Note, Kind::End][count(number(3))];
    let length = count(number(INPUT as u64 * 2));
    let head =
        Head { id: number(9), kind, length, millis: number(1 << 24), now: number(99), settings };
    let mut flow = |_: u64| {
        let mut words = Flow::default().words();
        words.iter_mut().for_each(|word| *word = number(1 << 20));
        Flow::of(words)
    };
    let record = Record { flow: flow(0), ..Record::default() };
    let progress = Progress { at: length / 2, is_done: false, flow: flow(1), ino: 7 };
    let sentinel = journal.prepare_input(INPUT, None);
    journal.set_head(&head, sentinel, &record);
    journal.set_progress(1, &progress);
    journal.set_progress(2, &Progress { at: length * 3, ..progress });
    let input = journal.input_mut();
    input.iter_mut().zip(bytes.iter().cycle()).for_each(|(place, byte)| *place = *byte);
    journal.set_target(Target { dev: 1, ino: 2, size: 3, at: length / 3, length: length * 2 });
    let (slot, next) = (u64::from(seed >> 2 & 3), u64::from(seed >> 4 & 3));
    journal.set_state(match seed >> 6 {
        0 => State::Reading,
        1 => State::Full { slot },
        _ => State::Writing { slot, next },
    });
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = PathBuf::from(format!("/dev/shm/going-fuzz-journal-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self) -> File {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        options.open(self.0.join("journal")).expect("a journal")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
