//! The pipes: each has its turn, and in a turn one batch. What comes through them
//! goes to a log, to our stdout, or to the system's log; nobody waits for anybody.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use nix::fcntl::{FcntlArg, fcntl};

use super::clock;
use super::journal::{Head, INPUT, Kind};
use super::lines::{Flow, How, LINE_MAX, Page};
use super::settings::{Settings, Target};
use super::writer::Room;
use super::{ENDED_MAX, Logger};
use crate::protocol::Message;
use crate::sys::pipes;

/// How much a pipe holds at first, and how much one that is in a hurry.
const PIPE: usize = 64 * 1024;
const PIPE_MAX: usize = 1024 * 1024;

/// For lines that do not go to a log: so much in one turn.
const PAGE: usize = 4096;

/// The output of one service.
pub struct Stream {
    /// The number of its inode, by which going knows it.
    pub id: u64,
    /// What is to be done with it.
    pub settings: Settings,
    /// Its read end.
    pub pipe: OwnedFd,
    /// There may be something in it.
    pub is_ready: bool,
    /// Nobody can write to it any more.
    pub is_closed: bool,
    /// Until then it is left alone, or then something is to be said.
    pub wake_at: Option<u64>,
    /// It waits for a log, and not for output.
    is_waiting: bool,
    /// Where it is, if it writes no log.
    flow: Flow,
    /// What is to be said before its next lines, if it writes no log.
    pub notes: VecDeque<String>,
    capacity: usize,
}

impl Stream {
    /// A stream that was just handed over.
    pub fn new(id: u64, settings: Settings, pipe: OwnedFd) -> Stream {
        Stream {
            id,
            settings,
            pipe,
            is_ready: true,
            is_closed: false,
            wake_at: None,
            is_waiting: false,
            flow: Flow::default(),
            notes: VecDeque::new(),
            capacity: PIPE,
        }
    }

    /// Whether it can be served at once.
    pub fn is_due(&self, now: u64, is_console_free: bool) -> bool {
        if self.settings.target == Target::Console && !is_console_free {
            return false;
        }
        match self.wake_at {
            Some(at) if at <= now => true,
            Some(_) => self.is_ready && !self.is_waiting,
            None => self.is_ready,
        }
    }

    fn head(&self, kind: Kind, length: usize, now: u64) -> Head {
        let settings = self.settings.clone();
        Head { id: self.id, kind, length, millis: clock::now(), now, settings }
    }
}

impl Logger {
    /// Gives a stream its turn; whether it had output.
    pub(super) fn serve(&mut self, place: usize) -> bool {
        let is_free = self.console.is_free();
        let Some(entry) = self.streams.get_mut(place) else { return false };
        let Some(mut stream) = entry.take_if(|it| it.is_due(self.now, is_free)) else {
            return false;
        };
        let has_more_to_say = stream.wake_at.take_if(|at| *at <= self.now).is_some();
        let available = pipes::available(stream.pipe.as_fd()).unwrap_or(0);
        if available >= stream.capacity / 2 {
            self.is_pressed = true;
            if stream.capacity < PIPE_MAX {
                let size = i32::try_from(PIPE_MAX).unwrap_or(0);
                // If there is no memory for it, it stays as it is.
                let _ = fcntl(&stream.pipe, FcntlArg::F_SETPIPE_SZ(size));
                stream.capacity = PIPE_MAX;
            }
        }
        let had_output = available > 0;
        let is_going_on = match stream.settings.target {
            Target::File => self.serve_log(&mut stream, available, has_more_to_say),
            Target::Console | Target::Syslog => self.serve_lines(&mut stream, available),
        };
        if is_going_on {
            if let Some(entry) = self.streams.get_mut(place) {
                *entry = Some(stream);
            }
        } else {
            self.forget(stream);
        }
        had_output
    }

    /// A batch into a log; false if that was the end.
    fn serve_log(&mut self, stream: &mut Stream, available: usize, is_note_due: bool) -> bool {
        let now = self.now;
        stream.is_waiting = false;
        if available == 0 {
            stream.is_ready = false;
            if stream.is_closed {
                self.say_notes(stream);
                let _ = self.writer.say(&stream.head(Kind::End, 0, now), "");
                return false;
            }
            if is_note_due {
                let _ = self.writer.say(&stream.head(Kind::Note, 0, now), "");
                self.plan(stream);
            }
            return true;
        }
        let pipe = stream.pipe.as_fd();
        let done = match self.writer.room(&stream.settings, available, now) {
            Room::For(length) => {
                self.is_pressed |= length < available;
                self.writer.take(&stream.head(Kind::Output, length, now), pipe, &mut self.peek)
            }
            Room::Later(at) => {
                stream.wake_at = Some(at.max(now.saturating_add(1)));
                stream.is_waiting = true;
                return true;
            }
        };
        if done.is_err() {
            // It will not get better by trying at once.
            stream.wake_at = Some(now.saturating_add(1000));
            stream.is_waiting = true;
            return true;
        }
        if !self.writer.is_in_line(stream.id) {
            self.say_notes(stream);
        }
        self.plan(stream);
        true
    }

    /// Says in the log what had to wait for the end of a line.
    fn say_notes(&mut self, stream: &mut Stream) {
        while let Some(note) = stream.notes.pop_front() {
            let head = stream.head(Kind::Note, note.len(), self.now);
            let _ = self.writer.say(&head, &note);
        }
    }

    /// Comes back in time to tell what was left out.
    fn plan(&mut self, stream: &mut Stream) {
        let Ok(place) = self.writer.journal.records.place_of(stream.id) else { return };
        let flow = self.writer.journal.records.get(place).flow;
        let (limited, lost) = (!flow.limited.is_none(), !flow.lost.is_none());
        let over_at = flow.period_at.saturating_add(stream.settings.period());
        let retry_at = self.now.saturating_add(1000);
        let due = [limited.then_some(over_at), lost.then_some(retry_at)];
        let wake_at = due.into_iter().flatten().min();
        stream.wake_at = wake_at.map(|at| at.max(self.now.saturating_add(10)));
    }

    /// Whole lines to where there is no file; false if that was the end.
    fn serve_lines(&mut self, stream: &mut Stream, available: usize) -> bool {
        let ending = usize::from(stream.is_closed);
        let Ok(bytes) = self.peek.all(stream.pipe.as_fd()) else {
            stream.is_ready = false;
            return true;
        };
        let last = bytes.iter().rposition(|&byte| byte == b'\n');
        let is_cut = last.is_none() && (bytes.len() > LINE_MAX || bytes.len() < available);
        let is_last = last.is_none() && ending > 0;
        let whole = match last {
            Some(last) => last + 1,
            None if is_cut || is_last => bytes.len().min(LINE_MAX),
            None => 0,
        };
        if whole == 0 && stream.notes.is_empty() {
            stream.is_ready = false;
            return !(stream.is_closed && available == 0);
        }
        let is_console = stream.settings.target == Target::Console;
        let stamp = if is_console { format!("{}: ", stream.settings.name) } else { String::new() };
        let how = How {
            stamp: stamp.as_bytes(),
            is_stripped: stream.settings.is_stripped,
            rate: stream.settings.rate.map(|rate| u64::from(rate.lines)),
            now: self.now,
            size_max: 0,
        };
        let mut out = vec![0; PAGE];
        let mut taken = fill_page(&mut out, bytes.get(..whole).unwrap_or_default(), stream, &how);
        if taken == 0 && out.is_empty() {
            // A line that is longer than a page.
            out = vec![0; INPUT + PAGE];
            taken = fill_page(&mut out, bytes.get(..whole).unwrap_or_default(), stream, &how);
        }
        self.is_pressed |= taken < whole;
        if stream.flow.column > 0 {
            // It goes on in the next one, as in a log.
            out.extend_from_slice(if is_cut { b"\\\n" } else { b"\n" });
            stream.flow.break_line();
        }
        if is_console {
            self.console.add(&out, stream.id, taken);
            // Its place is empty while it has its turn, so it is told here.
            if let Some((_, length)) = self.console.flush() {
                let _ = self.peek.take_out(stream.pipe.as_fd(), length);
            }
        } else {
            let is_stderr = stream.settings.is_stderr;
            for line in out.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                self.syslog.send(&stream.settings.name, is_stderr, line, self.now);
            }
            let _ = self.peek.take_out(stream.pipe.as_fd(), taken);
        }
        true
    }

    /// Writes what the console has not taken before.
    pub(super) fn flush_console(&mut self) {
        if self.console.is_stuck {
            return;
        }
        let Some((id, length)) = self.console.flush() else { return };
        let stream = self.streams.iter().flatten().find(|it| it.id == id);
        if let Some(stream) = stream {
            let _ = self.peek.take_out(stream.pipe.as_fd(), length);
        }
    }

    /// A stream ended, and all of it is written.
    fn forget(&mut self, stream: Stream) {
        let _ = self.poll.registry().deregister(&mut SourceFd(&stream.pipe.as_raw_fd()));
        let mut done = Message::new();
        done.add("done", &stream.id.to_string());
        self.wire.answer(&done);
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back((stream.id, stream.settings));
        self.close_unused();
    }

    /// Closes logs that nobody writes any more.
    pub(super) fn close_unused(&mut self) {
        let streams = &self.streams;
        let used: Vec<_> = streams.iter().flatten().map(|it| it.settings.base()).collect();
        self.writer.files.retain(|base| used.iter().any(|it| it == base));
    }

    /// Takes what is in a pipe now, as far as that is possible at once.
    pub(super) fn drain(&mut self, place: usize) {
        let Some(Some(stream)) = self.streams.get(place) else { return };
        let available = pipes::available(stream.pipe.as_fd()).unwrap_or(0);
        // What comes while we are at it comes after this.
        for _ in 0..=available / PAGE {
            let Some(Some(stream)) = self.streams.get_mut(place) else { return };
            stream.is_ready = true;
            if !self.serve(place) {
                return;
            }
        }
    }

    /// Takes what is in all pipes.
    pub(super) fn drain_all(&mut self) {
        self.flush_console();
        for place in 0..self.streams.len() {
            self.drain(place);
        }
    }
}

/// Lines as they are shown, after what is to be said before them; how much of
/// `bytes` they are. `out` is as long as that is.
fn fill_page(out: &mut Vec<u8>, bytes: &[u8], stream: &mut Stream, how: &How) -> usize {
    let mut page = Page::new(out, 0);
    while let Some(note) = stream.notes.pop_front() {
        page.put_note(how.stamp, &note);
    }
    if let Some(loss) = stream.flow.end_period(how.now, stream.settings.period()) {
        page.put_note(how.stamp, &loss.tell("there were too many"));
    }
    let (taken, _) = super::lines::fill(bytes, &mut page, &mut stream.flow, how);
    let length = page.length();
    out.truncate(length);
    taken
}
