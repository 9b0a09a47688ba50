//! A command that knows whether a service is ready, asked again and again, one at a time,
//! while the service is on its way up.

use std::time::Duration;

use super::super::errands::{End, Order, Purpose};
use super::super::report::{Level, report};
use super::{Daemon, Way};
use crate::supervise::{Exit, Moment, Slot};

/// How long after a no it is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// One that is asked.
#[derive(Default)]
pub(super) struct Asked {
    /// When it is asked next; not while it is.
    pub(super) at: Option<Moment>,
    has_begun: bool,
    /// That it cannot be run has been said.
    is_told: bool,
}

impl Asked {
    /// Has it asked from now on.
    pub(super) fn begin(&mut self, now: Moment) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.at = Some(now);
        }
    }
}

impl Daemon {
    fn asked(&mut self, slot: Slot) -> Option<&mut Asked> {
        let waits = &mut self.readiness.as_mut()?.waits;
        let wait = waits.iter_mut().find(|it| it.slot == slot)?;
        if let Way::Command(asked) = &mut wait.way { Some(asked) } else { None }
    }

    /// Asks those whose time has come.
    pub(super) fn ask_commands(&mut self) {
        let now = self.now;
        let mut due = Vec::new();
        for wait in self.readiness.iter_mut().flat_map(|it| &mut it.waits) {
            if let Way::Command(asked) = &mut wait.way {
                due.extend(asked.at.take_if(|at| *at <= now).map(|_| wait.slot));
            }
        }
        for slot in due {
            let Some(service) = self.supervisor.get(slot) else { continue };
            let pid = service.state.pid().map_or(0, |it| it.0);
            let facts = format!("GOING_EVENT=ready\nGOING_PID={pid}\n");
            let order = Order::new(Purpose::Ready, service, facts);
            self.send_errand(order);
        }
    }

    /// What it answered.
    pub(in super::super) fn hear_asked(&mut self, name: &str, end: &End, why: &str) {
        let (Some(slot), again) = (self.supervisor.find(name), self.now.after(PAUSE)) else {
            return;
        };
        let Some(asked) = self.asked(slot) else { return };
        if matches!(end, End::Exit(Exit::Code(0))) {
            return self.step_ready(slot);
        }
        asked.at = Some(again);
        let is_fault = matches!(end, End::Fault(_));
        if is_fault && !std::mem::replace(&mut asked.is_told, true) {
            report!(self.reporter, Level::Warning, "{name}: it is not known if it is ready: {why}");
        }
    }
}
