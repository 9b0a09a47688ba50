//! What a service has said of itself, and what follows from it.

use std::time::Duration;

use super::super::stat::Stat;
use super::super::watch::Watch;
use super::{Daemon, Readiness};
use crate::config::Ready;
use crate::protocol::notice::Notice;
use crate::protocol::put;
use crate::supervise::{Event, Moment, Pid, Slot, Stage, State};

/// What one service has said.
pub(super) struct Voice {
    pub(super) slot: Slot,
    status: Box<str>,
    phase: Phase,
    /// How long it may be silent.
    watchdog: Option<Duration>,
    /// When it has been silent for too long.
    pub(super) due: Option<Moment>,
}

/// What it says it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Usual,
    Reloading,
    Stopping,
}

impl Readiness {
    fn voice(&mut self, slot: Slot) -> &mut Voice {
        let index = self.voices.iter().position(|it| it.slot == slot).unwrap_or_else(|| {
            self.voices.push(Voice {
                slot,
                status: Box::default(),
                phase: Phase::Usual,
                watchdog: None,
                due: None,
            });
            self.voices.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "it was found, or has just been pushed")]
        &mut self.voices[index]
    }

    /// Has a service say from now on that it is well, if it is to do so at all.
    pub(super) fn guard(&mut self, slot: Slot, watchdog: Option<Duration>, now: Moment) {
        if watchdog.is_some() {
            let voice = self.voice(slot);
            voice.watchdog = voice.watchdog.or(watchdog);
            voice.due = voice.due.or_else(|| voice.watchdog.map(|it| now.after(it)));
        }
    }

    /// Who is being stopped need not say anything.
    pub(super) fn unguard(&mut self, slot: Slot) {
        let own = self.voices.iter_mut().filter(|it| it.slot == slot);
        own.for_each(|it| it.due = None);
    }
}

impl Daemon {
    /// Does what follows from what a service says.
    pub(super) fn heed(&mut self, slot: Slot, notice: Notice) {
        self.catch_up(slot);
        let Some(service) = self.supervisor.get(slot) else { return };
        let is_its_own = service.stage == Stage::Running && service.state.pid().is_some();
        let is_up = matches!(service.state, State::Up { .. });
        let care = &service.definition.policy.care;
        let (is_asked, has_watchdog) = (care.ready == Ready::Notify, care.watchdog.is_some());
        let (patience, now) = (service.patience(), self.now);
        // Its setup and its finish have nothing to say.
        if !is_its_own {
            return;
        }
        let readiness = self.readiness.get_or_insert_default();
        match notice {
            Notice::Ready => {
                readiness.voice(slot).phase = Phase::Usual;
                if is_asked {
                    self.supervisor.step(slot, Event::Ready, now);
                }
            }
            Notice::Reloading => readiness.voice(slot).phase = Phase::Reloading,
            Notice::Stopping => {
                let voice = readiness.voice(slot);
                voice.phase = Phase::Stopping;
                // Who ends by itself has as long for it as one that is told to.
                voice.due = voice.due.map(|due| due.max(now.after(patience)));
            }
            Notice::Status(status) => readiness.voice(slot).status = status.into(),
            Notice::Alive | Notice::Watchdog(_) if !has_watchdog || !is_up => {}
            Notice::Watchdog(period) => {
                // A millisecond is as exact as we are.
                let period = period.max(Duration::from_millis(1));
                let voice = readiness.voice(slot);
                (voice.watchdog, voice.due) = (Some(period), Some(now.after(period)));
            }
            Notice::Alive => {
                let voice = readiness.voice(slot);
                voice.due = voice.watchdog.map(|it| now.after(it));
            }
            Notice::Hung if has_watchdog => self.supervisor.step(slot, Event::Hung, now),
            Notice::Hung => {}
            Notice::Extend(by) => self.supervisor.step(slot, Event::Extend(by), now),
            Notice::Main(pid) => self.move_to(slot, Pid(pid)),
        }
    }

    /// A service says that another process of it is its main process.
    fn move_to(&mut self, slot: Slot, pid: Pid) {
        let is_new = self.supervisor.find_pid(pid).is_none();
        let stat = Stat::read(pid).filter(|it| is_new && !it.is_dead);
        // As a user that nobody has: what it says itself does not count here.
        let Some(stat) = stat.filter(|_| self.speaker(pid, u32::MAX) == Some(slot)) else { return };
        self.legacy.hand_down(slot, pid, stat.started);
        if u32::try_from(stat.parent.0) != Ok(std::process::id()) {
            self.watch_main(Watch::of_main(stat.pid, stat.started));
        }
        self.supervisor.step(slot, Event::Moved(pid), self.now);
    }

    /// Tells of those who have been silent for too long. What they said is heard first.
    pub(super) fn look_after_watchdogs(&mut self) {
        let now = self.now;
        let Some(readiness) = self.readiness.as_mut().filter(|it| !it.has_more) else { return };
        let mut hung = Vec::new();
        for voice in &mut readiness.voices {
            if voice.due.is_some_and(|due| due <= now) {
                voice.due = None;
                hung.push(voice.slot);
            }
        }
        hung.into_iter().for_each(|slot| self.supervisor.step(slot, Event::Hung, now));
    }

    /// Shows what a service has said.
    pub(in super::super) fn put_voice(&self, out: &mut Vec<u8>, slot: Slot) {
        let voices = self.readiness.iter().flat_map(|it| &it.voices);
        for voice in voices.filter(|it| it.slot == slot) {
            match voice.phase {
                Phase::Usual => {}
                Phase::Reloading => put(out, "phase", "reloading"),
                Phase::Stopping => put(out, "phase", "stopping"),
            }
            if !voice.status.is_empty() {
                put(out, "status-text", &voice.status);
            }
        }
    }
}
