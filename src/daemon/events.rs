//! What happened lately, numbered, for those who follow it or come back for what
//! they missed. Bounded: the oldest go, and a reader is told how many it lost.

use std::collections::VecDeque;

use crate::protocol::{self, put, put_number};
use crate::supervise::{Death, Moment, Pid, State};

/// Enough for a fleet's bad minute; each takes about a hundred bytes.
const KEPT: usize = 128;

/// One thing that happened.
pub struct Event {
    at: Moment,
    service: Box<str>,
    kind: Kind,
}

enum Kind {
    /// A service's state changed.
    Change {
        was: protocol::State,
        state: protocol::State,
        pid: Option<Pid>,
        until: Option<Moment>,
        death: Option<Box<Death>>,
    },
    /// Something was said about its file.
    File(Box<str>),
    /// Something was done to its log, and why it was not.
    Log(&'static str, Box<str>),
}

/// The ring of events.
#[derive(Default)]
pub struct Events {
    ring: VecDeque<Event>,
    /// The number of the last event.
    serial: u64,
}

impl Events {
    /// The number of the last event so far.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The number of the oldest event that is kept.
    fn first(&self) -> u64 {
        let kept = u64::try_from(self.ring.len()).unwrap_or(0);
        self.serial.saturating_sub(kept).saturating_add(1)
    }

    fn add(&mut self, event: Event) {
        while self.ring.len() >= KEPT {
            self.ring.pop_front();
        }
        self.ring.push_back(event);
        self.serial = self.serial.saturating_add(1);
    }

    /// Notes a change of state, and the death that came with it.
    pub fn change(&mut self, at: Moment, name: &str, states: (State, State), death: Option<Death>) {
        let (was, state) = states;
        let kind = Kind::Change {
            was: protocol::State::of(&was),
            state: protocol::State::of(&state),
            pid: state.pid().or(was.pid()),
            until: state.deadline(),
            death: death.map(Box::new),
        };
        self.add(Event { at, service: name.into(), kind });
    }

    /// Notes what was said about a service's file.
    pub fn file(&mut self, at: Moment, name: &str, message: &str) {
        self.add(Event { at, service: name.into(), kind: Kind::File(message.into()) });
    }

    /// Notes what was done to a service's log.
    pub fn log(&mut self, at: Moment, name: &str, fact: &'static str, why: &str) {
        self.add(Event { at, service: name.into(), kind: Kind::Log(fact, why.into()) });
    }

    /// Writes the event after number `after`, or how many are lost; the number
    /// up to which the reader knows then. `None` if there is nothing more.
    pub fn write(
        &self,
        after: u64,
        now: Moment,
        is_trusted: bool,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        if after >= self.serial {
            return None;
        }
        let next = after.saturating_add(1);
        if next < self.first() {
            put_number(out, "lost", self.first() - next);
            protocol::end(out);
            return Some(self.first() - 1);
        }
        let index = usize::try_from(next - self.first()).ok()?;
        self.ring.get(index)?.write(next, now, is_trusted, out);
        Some(next)
    }
}

impl Event {
    fn write(&self, serial: u64, now: Moment, is_trusted: bool, out: &mut Vec<u8>) {
        put_number(out, "serial", serial);
        put(out, "service", &self.service);
        match &self.kind {
            Kind::File(message) => {
                put(out, "event", "config");
                // It may quote the file, which others may not be able to read.
                if is_trusted {
                    put(out, "message", message);
                }
            }
            Kind::Log(fact, why) => {
                put(out, "event", "log");
                put(out, "log", fact);
                if !why.is_empty() {
                    put(out, "message", why);
                }
            }
            Kind::Change { was, state, pid, until, death } => {
                put(out, "was", was.word());
                put(out, "state", state.word());
                if let Some(Pid(pid)) = *pid {
                    put_number(out, "pid", u64::try_from(pid).unwrap_or(0));
                }
                if let Some(until) = until {
                    put_number(out, "next-ms", millis(until.since(now)));
                }
                if let Some(death) = death {
                    super::status::put_death(out, "", death, now);
                }
            }
        }
        // A death tells this, too.
        if !matches!(&self.kind, Kind::Change { death: Some(_), .. }) {
            put_number(out, "ago-ms", millis(now.since(self.at)));
        }
        protocol::end(out);
    }
}

/// Milliseconds, as the protocol has all times.
pub fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
