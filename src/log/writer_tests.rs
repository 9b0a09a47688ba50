//! Deaths at every step there is, one after the other, and twice in a row: what
//! is in the logs at last must be what was written, byte by byte.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::{pipe2, write};

use super::super::journal::tests::{Folder, die_after, open};
use super::super::settings::tests::plain;
use super::*;
use crate::sys::pipes::available;

const ID: u64 = 77;

fn writer(folder: &Folder) -> Writer {
    let journal = open(folder.file()).0;
    let mut writer =
        Writer { journal, files: Files::new(folder.0.join("log")), rotated: Vec::new() };
    writer.recover(1000);
    writer
}

/// Takes all that is in the pipe, a few bytes at once, as a process would that
/// lives from now on.
fn live(folder: &Folder, settings: &Settings, pipe: &OwnedFd, batch: usize) {
    let mut writer = writer(folder);
    let mut peek = Peek::new().unwrap();
    loop {
        let there = available(pipe.as_fd()).unwrap().min(batch);
        if there == 0 {
            break;
        }
        let settings = settings.clone();
        let head =
            Head { id: ID, kind: Kind::Output, length: there, millis: 0, now: 1000, settings };
        writer.take(&head, pipe.as_fd(), &mut peek).unwrap();
    }
    let settings = settings.clone();
    let head = Head { id: ID, kind: Kind::End, length: 0, millis: 0, now: 1000, settings };
    writer.say(&head, "").unwrap();
}

/// All of the log, the oldest first.
fn whole(folder: &Path) -> String {
    let names = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name());
    let mut names: Vec<_> = names.map(|it| it.into_string().unwrap()).collect();
    names.sort_by_key(|name| {
        std::cmp::Reverse(name.rsplit('.').next().unwrap().parse::<u32>().unwrap_or(0))
    });
    names.iter().map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect()
}

/// Dies after so many steps and after so many more; whether it ever did.
fn dies(settings: &Settings, text: &str, batch: usize, deaths: &[u32]) -> (bool, String) {
    let folder = Folder::new();
    let (pipe, end) = pipe2(OFlag::O_NONBLOCK).unwrap();
    assert_eq!(write(&end, text.as_bytes()).unwrap(), text.len());
    let mut was_killed = false;
    for &steps in deaths {
        let is_done = die_after(steps, || live(&folder, settings, &pipe, batch));
        was_killed |= !is_done;
    }
    live(&folder, settings, &pipe, batch);
    (was_killed, whole(&folder.0.join("log")))
}

const TEXT: &str = "a\nbcd\n\nthis is a line that is longer than a batch is, by far\nx\n\
    \x1b[31mred\x1b[0m and \x1b]0;title\x07not\nend";

fn every_death(settings: &Settings, batch: usize) {
    let (_, expected) = dies(settings, TEXT, batch, &[]);
    assert!(expected.contains("longer than a batch") && expected.ends_with("end\n"));
    let mut steps = 0;
    loop {
        let (was_killed, text) = dies(settings, TEXT, batch, &[steps]);
        assert_eq!(text, expected, "killed after {steps} steps");
        if !was_killed {
            break;
        }
        let more = steps * 7 % 150;
        let (_, text) = dies(settings, TEXT, batch, &[steps, more]);
        assert_eq!(text, expected, "killed after {steps} steps, and after {more} more");
        steps += 1;
    }
    assert!(steps > 500, "only {steps} steps");
}

#[test]
fn every_death_of_a_plain_log_is_survived() {
    every_death(&plain("web"), 20);
}

#[test]
fn every_death_of_a_small_batch_is_survived() {
    every_death(&plain("web"), 5);
}

#[test]
fn every_death_of_a_stamped_and_stripped_log_is_survived() {
    let timestamps = crate::config::Timestamps::Utc;
    every_death(&Settings { timestamps, is_stripped: true, ..plain("web") }, 20);
}

#[test]
fn every_death_of_a_rotation_is_survived() {
    every_death(&Settings { size: 10, keep: 100, ..plain("web") }, 20);
}

/// Takes all that is in a pipe of that number; the stream goes on.
fn take_all(folder: &Folder, id: u64, pipe: &OwnedFd) {
    let mut writer = writer(folder);
    let length = available(pipe.as_fd()).unwrap();
    if length > 0 {
        let (kind, settings) = (Kind::Output, plain("web"));
        let head = Head { id, kind, length, millis: 0, now: 1000, settings };
        writer.take(&head, pipe.as_fd(), &mut Peek::new().unwrap()).unwrap();
    }
}

#[test]
fn every_death_between_two_open_lines_of_one_log_is_survived() {
    let is_over = (0..).any(|steps| {
        let folder = Folder::new();
        let (old, old_end) = pipe2(OFlag::O_NONBLOCK).unwrap();
        let (new, new_end) = pipe2(OFlag::O_NONBLOCK).unwrap();
        write(&old_end, b"old, ").unwrap();
        take_all(&folder, 1, &old);
        write(&new_end, b"new, ").unwrap();
        let is_done = die_after(steps, || take_all(&folder, 2, &new));
        take_all(&folder, 2, &new);
        write(&new_end, b"still new\n").unwrap();
        take_all(&folder, 2, &new);
        let text = whole(&folder.0.join("log"));
        assert_eq!(text, "old, \nnew, still new\n", "killed after {steps} steps");
        is_done
    });
    assert!(is_over);
}

/// What cannot be written is counted, once each, whoever dies over it.
#[test]
fn every_death_over_a_log_that_cannot_be_written_is_survived() {
    let take_all = |folder: &Folder, pipe: &OwnedFd| {
        let mut writer = writer(folder);
        let mut peek = Peek::new().unwrap();
        loop {
            let available = available(pipe.as_fd()).unwrap().min(7);
            let settings = plain("web");
            match writer.room(&settings, available, 1000) {
                Room::For(length) if length > 0 => {
                    let kind = Kind::Output;
                    let head = Head { id: ID, kind, length, millis: 0, now: 1000, settings };
                    writer.take(&head, pipe.as_fd(), &mut peek).unwrap();
                }
                Room::For(_) | Room::Later(_) => break,
            }
        }
    };
    let is_over = (0..).any(|steps| {
        let folder = Folder::new();
        let in_the_way = folder.0.join("log/web.log");
        fs::create_dir_all(&in_the_way).unwrap();
        let (pipe, end) = pipe2(OFlag::O_NONBLOCK).unwrap();
        write(&end, b"one\ntwo\nand a half").unwrap();
        let is_done = die_after(steps, || take_all(&folder, &pipe));
        take_all(&folder, &pipe);
        fs::remove_dir(&in_the_way).unwrap();
        write(&end, b" of it\nwhole\n").unwrap();
        take_all(&folder, &pipe);
        let text = whole(&folder.0.join("log"));
        let (_, text) = text.split_once(" --- ").expect("it is told");
        let why = "not a plain file with one name";
        let expected = format!("3 lines (25 bytes) were not written: {why}\nwhole\n");
        assert_eq!(text, expected, "killed after {steps} steps");
        is_done
    });
    assert!(is_over);
}
