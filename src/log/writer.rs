//! From pipes to logs, batch by batch, with each step in the journal before it is
//! made: killed anywhere, whoever comes next goes on from there. No byte may be
//! lost, doubled or exchanged by that.

use std::io;
use std::os::fd::BorrowedFd;

use nix::unistd::read;

use super::compose::{Before, compose, pass_on};
use super::files::Files;
use super::journal::{Head, INPUT, INPUT_PLAIN, Journal, Kind, Progress, State, Target};
use super::lines::Stop;
use super::news::Level;
use super::peek::Peek;
use super::records::{Record, hash};
use super::rotate;
use super::settings::Settings;
use crate::config::Full;

/// Three versions of the progress take turns.
const SLOTS: u64 = 3;

/// Added to what a batch of output may become, for what we say ourselves.
const NOTES: u64 = 1024;

/// All that is needed to write logs.
pub struct Writer {
    /// What is under way.
    pub journal: Journal,
    /// Where it goes.
    pub files: Files,
    /// Logs that were rotated and may have something to compress, with the
    /// number of backups.
    pub rotated: Vec<(String, u32)>,
}

/// What can be done with output now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// So much can be read, to be written or to be counted.
    For(usize),
    /// It stays in the pipe until then.
    Later(u64),
}

impl Writer {
    /// Whether a stream has written a part of a line so far.
    pub fn is_in_line(&self, id: u64) -> bool {
        self.journal.records.all().any(|(_, record)| record.id == id && record.flow.column > 0)
    }

    /// Opens all logs again, by their names and at once, for whoever moved them
    /// away looks for the new ones.
    pub fn reopen(&mut self, now: u64) {
        self.files.reopen();
        for base in self.files.names() {
            // What cannot be opened is told, and tried again.
            let _ = self.files.ready(&base, &self.journal.records, now);
        }
    }

    /// Finishes what somebody began who was killed.
    pub fn recover(&mut self, now: u64) {
        self.keep_up();
        match self.journal.state() {
            None | Some(State::Empty) => {}
            Some(State::Reading) => {
                let head = self.journal.head();
                match head.filter(|head| self.journal.was_read(head.length)) {
                    Some(_) => self.journal.set_state(State::Full { slot: 0 }),
                    None => self.journal.set_state(State::Empty),
                }
            }
            Some(State::Full { .. }) => {}
            Some(State::Writing { slot, next }) => self.resume(slot, next, now),
        }
        self.write();
    }

    /// Lets the record of the stream be what it was when the page began that was
    /// to be written, for by the records we find the files with open lines.
    fn keep_up(&mut self) {
        let Some(State::Full { slot } | State::Writing { slot, .. }) = self.journal.state() else {
            return;
        };
        let (Some(head), Some(progress)) = (self.journal.head(), self.journal.progress(slot))
        else {
            return;
        };
        let Ok(place) = self.journal.records.place_of(head.id) else { return };
        let log = hash(head.settings.base().as_bytes());
        let Progress { flow, ino, .. } = progress;
        self.journal.records.set(place, &Record { id: head.id, log, ino, flow });
    }

    /// Writes what is missing of a page that somebody was killed over. How much
    /// was written is told by the size of the file.
    fn resume(&mut self, slot: u64, next: u64, now: u64) {
        let (Some(head), Some(target)) = (self.journal.head(), self.journal.target()) else {
            return self.journal.set_state(State::Empty);
        };
        let base = head.settings.base();
        let Target { dev, ino, size, length, .. } = target;
        let mut written = 0;
        let flow = self.journal.progress(slot).unwrap_or_default().flow;
        let owner = (flow.column > 0).then_some(head.id);
        if self.files.resume(&base, dev, ino, owner) {
            let size_now = self.files.get(&base).map_or(size, |log| log.size());
            let more = usize::try_from(size_now.saturating_sub(size)).unwrap_or(usize::MAX);
            written = more.min(length);
        } else {
            let text = format!("{base}.log was replaced; what was on its way is in the new one");
            self.files.news.add(Level::Warning, text);
            if let Err(errno) = self.files.ready(&base, &self.journal.records, now) {
                return self.lose(slot, &head, errno);
            }
        }
        self.put(slot, next, &head, written);
    }

    /// How much of a stream can be taken and written.
    pub fn room(&mut self, settings: &Settings, available: usize, now: u64) -> Room {
        let input_max = if settings.is_plain() { INPUT_PLAIN } else { INPUT };
        let (base, wanted) = (settings.base(), available.min(input_max));
        let is_blocking = settings.full == Full::Block;
        if !is_blocking {
            return Room::For(wanted);
        }
        let Ok((log, size)) = self.files.ready(&base, &self.journal.records, now) else {
            return Room::Later(self.files.get(&base).map_or(now, |log| log.retry_at));
        };
        // Nothing is taken out of the pipe which there is no space for: once it
        // is out, it cannot be put back.
        let each = if settings.timestamps == crate::config::Timestamps::No { 2 } else { 32 };
        let mut last_errno = 0;
        for wanted in [wanted, wanted.min(1024)] {
            let need = u64::try_from(wanted).unwrap_or(0) * each + NOTES;
            match log.reserve(size, need) {
                Ok(_) => return Room::For(wanted),
                Err(errno) => last_errno = errno,
            }
        }
        self.files.fail(&base, last_errno, now);
        let retry_at = self.files.get(&base).map_or(now, |log| log.retry_at);
        Room::Later(retry_at)
    }

    /// Takes output out of a pipe and writes it; how much it was. `head` says how
    /// much there is, and there must be no other reader.
    ///
    /// # Errors
    /// What read(2) says, or that there is no place for the stream's record.
    pub fn take(&mut self, head: &Head, pipe: BorrowedFd, peek: &mut Peek) -> io::Result<usize> {
        let place = self.journal.records.place_of(head.id)?;
        let record = self.journal.records.get(place);
        let first = if head.length < 16 { Some(peek.first(pipe)?) } else { None };
        let sentinel = self.journal.prepare_input(head.length, first);
        self.journal.set_head(head, sentinel, &record);
        self.journal.set_state(State::Reading);
        let input = self.journal.input_mut().get_mut(..head.length).unwrap_or_default();
        let length = match read(pipe, input) {
            Ok(length) if length > 0 => length,
            answer => {
                self.journal.set_state(State::Empty);
                return Ok(answer?);
            }
        };
        if length != head.length {
            // There was another reader, against our rules.
            self.journal.set_head(&Head { length, ..head.clone() }, sentinel, &record);
        }
        self.journal.set_state(State::Full { slot: 0 });
        self.write();
        Ok(length)
    }

    /// Writes a line of our own, or what is due at the end of a stream. `head`
    /// says which and, of a text, its length.
    ///
    /// # Errors
    /// That there is no place for the stream's record.
    pub fn say(&mut self, head: &Head, text: &str) -> io::Result<()> {
        let place = self.journal.records.place_of(head.id)?;
        let record = self.journal.records.get(place);
        let input = self.journal.input_mut();
        input.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
        self.journal.set_head(head, [0; 2], &record);
        self.journal.set_state(State::Full { slot: 0 });
        self.write();
        Ok(())
    }

    /// Writes all of the batch that is under way, if there is one.
    fn write(&mut self) {
        let Some(head) = self.journal.head() else { return };
        while let Some(State::Full { slot }) = self.journal.state() {
            match self.journal.progress(slot) {
                Some(progress) if !progress.is_done => self.write_page(slot, &head, progress),
                progress => self.finish(&head, progress.unwrap_or_default()),
            }
        }
    }

    /// Writes as much as fits into the output.
    fn write_page(&mut self, slot: u64, head: &Head, mut progress: Progress) {
        let (base, next) = (head.settings.base(), (slot + 1) % SLOTS);
        let ready = self.files.ready(&base, &self.journal.records, head.now);
        let (log, size) = match ready {
            Ok(ready) => ready,
            Err(errno) => return self.lose(slot, head, errno),
        };
        let (loss, errno) = std::mem::take(&mut log.left_over);
        if !loss.is_none() {
            progress.flow.lost.add_all(loss);
            progress.flow.errno = errno;
        }
        let size_max = if head.now < log.rotate_at { 0 } else { head.settings.size };
        let is_own = log.owner == Some(head.id);
        let before = Before { size, is_at_start: log.is_at_start, is_own, size_max };
        let (dev, ino) = (log.dev, log.ino);
        let (input, output) = self.journal.input_and_output(head);
        let (at, (length, mut after, stop)) = match pass_on(head, input, &progress, before) {
            Some(page) => (progress.at, page),
            None => (head.input_max(), compose(head, input, output, &progress, before)),
        };
        if length > 0 {
            after.ino = ino;
        }
        self.journal.set_progress(next, &after);
        if length == 0 {
            self.journal.set_state(State::Full { slot: next });
        } else {
            self.journal.set_target(Target { dev, ino, size, at, length });
            self.journal.set_state(State::Writing { slot, next });
            self.put(slot, next, head, 0);
        }
        if stop == Stop::Large {
            self.rotate(head);
        }
    }

    /// Writes the output from `written` on.
    fn put(&mut self, slot: u64, next: u64, head: &Head, written: usize) {
        let base = head.settings.base();
        let (Some(target), Some(log)) = (self.journal.target(), self.files.get(&base)) else {
            return self.lose(slot, head, 0);
        };
        let page = self.journal.page(target);
        match log.append(page.get(written..).unwrap_or_default()) {
            Ok(()) => {
                log.wrote(head.id, page.last() == Some(&b'\n'));
                self.journal.set_state(State::Full { slot: next });
                self.files.succeed(&base);
            }
            Err((more, errno)) => self.mend(slot, next, head, (written + more, errno)),
        }
    }

    /// A page could not be written as a whole: cuts the log back to the last line
    /// that is complete, and goes on as if no more had been tried.
    fn mend(&mut self, slot: u64, next: u64, head: &Head, (written, errno): (usize, u64)) {
        let base = head.settings.base();
        let (Some(progress), Some(target), Some(log)) =
            (self.journal.progress(slot), self.journal.target(), self.files.get(&base))
        else {
            return self.lose(slot, head, errno);
        };
        let before = self.journal.page(Target { length: written, ..target });
        let whole = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let is_at_start = log.is_at_start;
        let is_own = log.owner == Some(head.id);
        log.cut(target.size.saturating_add(u64::try_from(whole).unwrap_or(0)));
        self.files.fail(&base, errno, head.now);
        // Composed once more, with no room for more than what is there.
        let before = Before { size: target.size, is_at_start, is_own, size_max: 0 };
        let (input, output) = self.journal.input_and_output(head);
        let mut spare = progress;
        if whole > 0 {
            let (length, after, _) = if target.at == progress.at {
                let input = input.get(..progress.at + whole).unwrap_or_default();
                pass_on(head, input, &progress, before).unwrap_or((0, progress, Stop::Taken))
            } else {
                let room = (whole + 2).min(output.len());
                let room = output.get_mut(..room).unwrap_or_default();
                compose(head, input, room, &progress, before)
            };
            if length == whole {
                spare = after;
            }
        }
        if head.kind == Kind::Output {
            spare.flow.lose(input.get(spare.at..).unwrap_or_default(), errno);
        }
        self.settle(3 - slot - next, head, spare, errno);
    }

    /// What is left of the batch is lost.
    fn lose(&mut self, slot: u64, head: &Head, errno: u64) {
        let mut progress = self.journal.progress(slot).unwrap_or_default();
        let (input, _) = self.journal.input_and_output(head);
        // What we say ourselves is not counted.
        if head.kind == Kind::Output {
            progress.flow.lose(input.get(progress.at..).unwrap_or_default(), errno);
        }
        self.settle((slot + 1) % SLOTS, head, progress, errno);
    }

    /// Ends a batch whose rest is lost.
    fn settle(&mut self, slot: u64, head: &Head, mut progress: Progress, errno: u64) {
        if head.kind == Kind::End {
            progress.flow.end();
            // Whoever writes this log next has to tell it.
            if let Some(log) = self.files.get(&head.settings.base()) {
                log.left_over.0.add_all(progress.flow.lost);
                log.left_over.1 = errno;
            }
        }
        (progress.at, progress.is_done) = (head.length, true);
        self.journal.set_progress(slot, &progress);
        self.journal.set_state(State::Full { slot });
    }

    /// Keeps where the stream is, and is ready for the next batch.
    fn finish(&mut self, head: &Head, Progress { flow, ino, .. }: Progress) {
        let base = head.settings.base();
        let log = hash(base.as_bytes());
        let is_taken_over = match self.files.get(&base) {
            Some(log) => std::mem::take(&mut log.is_taken_over),
            // Written by somebody who was killed before this, so that the log is not
            // open: where our line is, no other one can be.
            None => flow.column > 0,
        };
        let records = &mut self.journal.records;
        if is_taken_over {
            // Another stream's line was open, and has been ended by ours.
            let is_open = |it: &Record| it.log == log && it.id != head.id && it.flow.column > 0;
            let others: Vec<_> = records.all().filter(|(_, it)| is_open(it)).collect();
            for (place, mut record) in others {
                record.flow.column = 0;
                records.set(place, &record);
            }
        }
        if let Ok(place) = records.place_of(head.id) {
            let record = match head.kind {
                Kind::Output | Kind::Note => Record { id: head.id, log, ino, flow },
                Kind::End => Record::default(),
            };
            records.set(place, &record);
        }
        self.journal.set_state(State::Empty);
    }

    /// The log is large enough: it becomes a backup, and another one is begun.
    fn rotate(&mut self, head: &Head) {
        let (base, keep) = (head.settings.base(), head.settings.keep);
        if let Some(log) = self.files.get(&base) {
            log.close();
        }
        let directory = self.files.directory.clone();
        let dir = self.files.dir();
        let done = dir.and_then(|dir| rotate::rotate(dir, &directory, &base, keep, head.millis));
        match done {
            Ok(()) if head.settings.is_compressed => self.rotated.push((base, keep)),
            Ok(()) => {}
            Err(error) => {
                let why = crate::sys::explain(&error);
                let text = format!("{base}.log cannot be rotated, and grows: {why}");
                self.files.news.add(Level::Error, text);
                if let Some(log) = self.files.get(&base) {
                    log.rotate_at = head.now.saturating_add(60_000);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
