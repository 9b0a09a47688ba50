//! going-log writes the output of all services: it reads their pipes, which going
//! hands to it, and writes, rotates and compresses their logs. It may be killed
//! at any time without a byte being lost or doubled (`journal.rs`), and it never
//! waits for anything but a disk: not for a console, not for syslog, not for going.
//!
//! `streams.rs` serves the pipes, `writer.rs` takes batches through the journal,
//! `compose.rs` and `lines.rs` decide what they become, `files.rs`, `rotate.rs`
//! and `compress.rs` keep the files, `wire.rs` and `orders.rs` talk with going.

mod clock;
mod compose;
mod compress;
mod console;
pub mod files;
pub mod journal;
pub mod lines;
mod news;
mod options;
mod orders;
mod peek;
mod plain;
pub mod records;
mod rotate;
pub mod settings;
mod stamp;
mod start;
mod streams;
mod strip;
mod syslog;
mod wire;
pub mod writer;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use mio::Poll;
use nix::libc;
use nix::poll::{PollTimeout, poll};
use nix::sys::signalfd::SignalFd;

use crate::sys::{self, processes};
use compress::Compressor;
use console::Console;
use peek::Peek;
use streams::Stream;
use syslog::Syslog;
use wire::Wire;
use writer::Writer;

pub use options::HELP;
pub use start::main;

const SIGNALS: usize = 0;
const LISTENER: usize = 1;
const CONSOLE: usize = 2;
/// Streams are known by their place, and connections by a number above these.
const FIRST_STREAM: usize = 16;
const FIRST_CONNECTION: usize = 1 << 30;

/// Woken so often in a row at once, we rest before we ask again: output that
/// comes line by line is then taken a thousand lines at a time.
const HURRIES_MAX: u32 = 4;
/// For so long, in milliseconds. A pipe can hold what comes meanwhile.
const REST: u16 = 1;

/// So many streams that ended are remembered, for marks that come late.
const ENDED_MAX: usize = 64;

struct Logger {
    poll: Poll,
    polled: mio::Events,
    signals: SignalFd,
    wire: Wire,
    writer: Writer,
    peek: Peek,
    console: Console,
    syslog: Syslog,
    compressor: Compressor,
    streams: Vec<Option<Stream>>,
    ended: VecDeque<(u64, settings::Settings)>,
    /// When output woke us last, and how often in a row it did so at once.
    woken_at: u64,
    hurries: u32,
    /// A pipe was so full that its writer may soon wait, or had more in it than was
    /// taken at once.
    is_pressed: bool,
    is_closing: bool,
    now: u64,
}

impl Logger {
    /// Writes logs until told to stop.
    fn run(mut self) -> io::Result<()> {
        self.now = sys::monotonic().0;
        self.writer.recover(self.now);
        while !self.is_closing {
            self.wait()?;
            self.now = sys::monotonic().0;
            self.read_signals();
            self.hear_compressor();
            self.hear_going();
            self.serve_streams();
            self.settle();
        }
        self.drain_all();
        // It may have come back a moment ago.
        self.syslog.tell(u64::MAX);
        self.wire.flush(&mut self.writer.files.news);
        Ok(())
    }

    /// Sleeps until something happens or is due.
    fn wait(&mut self) -> io::Result<()> {
        let is_busy = self.wire.is_ready()
            || self.streams.iter().flatten().any(|it| it.is_due(self.now, self.console.is_free()));
        if self.hurries >= HURRIES_MAX && !self.is_pressed && !self.wire.is_ready() {
            let _ = poll(&mut [], PollTimeout::from(REST));
        }
        self.is_pressed = false;
        let timeout = if is_busy { Some(self.now) } else { self.deadline() };
        let timeout = timeout.map(|at| Duration::from_millis(at.saturating_sub(self.now)));
        match self.poll.poll(&mut self.polled, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.polled {
            let token = event.token().0;
            let place = token.checked_sub(FIRST_STREAM);
            match token {
                CONSOLE => self.console.is_stuck = false,
                SIGNALS | LISTENER => {}
                FIRST_CONNECTION.. => self.wire.wake(token),
                _ => {
                    if let Some(Some(it)) = place.and_then(|it| self.streams.get_mut(it)) {
                        it.is_ready = true;
                        it.is_closed |= event.is_read_closed();
                    }
                }
            }
        }
        Ok(())
    }

    /// When something is due that nobody wakes us for.
    fn deadline(&self) -> Option<u64> {
        let streams = self.streams.iter().flatten().filter_map(|it| it.wake_at);
        streams.chain(self.compressor.retry_at).chain(self.syslog.tell_at).min()
    }

    fn read_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            match i32::try_from(signal.ssi_signo) {
                Ok(libc::SIGTERM | libc::SIGINT) => self.is_closing = true,
                Ok(libc::SIGHUP) => self.writer.reopen(self.now),
                _ => {}
            }
        }
    }

    fn hear_compressor(&mut self) {
        while let Some((pid, exit)) = processes::reap() {
            self.compressor.hear(pid, exit, &mut self.writer.files, self.now);
        }
    }

    fn hear_going(&mut self) {
        self.wire.accept();
        for incoming in self.wire.receive() {
            self.obey(incoming);
        }
    }

    /// One batch of each stream that has something, in turn.
    fn serve_streams(&mut self) {
        self.flush_console();
        let mut is_served = false;
        for place in 0..self.streams.len() {
            is_served |= self.serve(place);
        }
        if is_served {
            let is_at_once = self.now.saturating_sub(self.woken_at) <= 2;
            self.hurries = if is_at_once { self.hurries.saturating_add(1) } else { 0 };
            self.woken_at = self.now;
        }
    }

    /// What follows from this turn.
    fn settle(&mut self) {
        for (base, keep) in self.writer.rotated.drain(..) {
            self.compressor.add(base, keep);
        }
        self.compressor.start(&mut self.writer.files, self.now);
        self.syslog.tell_if_due(self.now);
        self.wire.flush(&mut self.writer.files.news);
    }
}
