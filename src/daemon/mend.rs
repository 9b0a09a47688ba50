//! What could not be done for want of descriptors, memory or space is done later: as
//! long as anything is owed we come back once a second, and when nothing is we sleep
//! as before. A shortage may cost time, but nothing that there is to be done.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;

use super::adopt::birth_of;
use super::logs::{Logs, Word};
use super::pipes::Which;
use super::report::{Level, report};
use super::stat::Stat;
use super::state::Ledger;
use super::{Daemon, SIGNALS};
use crate::supervise::record::Birth;
use crate::supervise::{Moment, Pid, Slot, State};

/// Often enough for people to see that it works again, and too seldom to be in the way
/// of what makes it so.
const AGAIN: Duration = Duration::from_secs(1);

/// What is owed.
#[derive(Default)]
pub(super) struct Arrears {
    /// When it is tried again, if anything is.
    at: Option<Moment>,
    /// The directory, or a file in it, could not be read or watched.
    pub(super) directory: Cell<bool>,
    /// It cannot be watched, and that has been said.
    is_unwatched: bool,
    /// Pipes for which going-log had no descriptors.
    lacking: Vec<u32>,
    is_lack_told: bool,
    /// The run directory could not be made anew.
    pub(super) home: bool,
    /// That has been said.
    pub(super) is_homeless: bool,
    /// The pipes of processes that were taken up without them.
    pub(super) pipes: Vec<(Slot, Pid, [u64; 3])>,
}

impl Arrears {
    /// When to wake.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.at
    }
}

impl Daemon {
    /// Tries what is owed once more, if it is time. Called in each turn.
    pub(super) fn mend(&mut self) {
        if self.arrears.at.is_some_and(|at| at <= self.now) {
            self.arrears.at = None;
            if self.arrears.directory.take() {
                self.ring();
            }
            self.directory.is_home_hit |= std::mem::take(&mut self.arrears.home);
            self.keep_home();
            for (slot, pid, pipes) in std::mem::take(&mut self.arrears.pipes) {
                let is_it = self.supervisor.find_pid(pid) == Some(slot);
                if is_it {
                    self.reclaim_pipes(slot, pid, pipes);
                }
            }
            let lacking = std::mem::take(&mut self.arrears.lacking);
            if let Some(logs) = &mut self.logs {
                logs.waiting.extend(lacking.into_iter().map(|id| Word::Take(id, None)));
            }
            self.mend_ledger();
            self.talk_to_logger();
            self.reporter.flush();
        }
        let owes = self.owes();
        self.arrears.is_lack_told &= owes;
        if self.arrears.at.is_none() && owes {
            self.arrears.at = Some(self.now.after(AGAIN));
        }
    }

    /// Offers a pipe to going-log again when it may have a descriptor for it.
    pub(super) fn offer_later(&mut self, id: u64) {
        if self.arrears.lacking.is_empty()
            && !std::mem::replace(&mut self.arrears.is_lack_told, true)
        {
            let so = "the output of some services waits";
            report!(self.reporter, Level::Warning, "going-log has too few descriptors: {so}");
        }
        self.arrears.lacking.extend(u32::try_from(id));
    }

    /// Looks at the directory from time to time if inotify(7) has no watch left for it.
    pub(super) fn watch_directory(&mut self) {
        self.directory.watch();
        let is_unwatched = !self.directory.is_watched() && self.directory.path.is_dir();
        let was_unwatched = std::mem::replace(&mut self.arrears.is_unwatched, is_unwatched);
        if is_unwatched && !was_unwatched {
            let path = self.directory.path.display();
            let so = "it is read once a second; see max_user_watches in inotify(7)";
            report!(self.reporter, Level::Warning, "Can't watch {path}: {so}");
        }
        self.arrears.directory.set(is_unwatched);
    }

    fn owes(&self) -> bool {
        let legacy = &self.legacy;
        self.arrears.directory.get()
            || self.arrears.home
            || !self.arrears.pipes.is_empty()
            || !self.arrears.lacking.is_empty()
            || legacy.ledger_owed.is_some()
            || legacy.ledger.as_ref().is_some_and(Ledger::is_failing)
            || self.logs.as_ref().is_some_and(Logs::owes)
    }

    /// Begins the state file if there is none, and writes all of it if any of it could
    /// not be written.
    pub(super) fn mend_ledger(&mut self) {
        let is_new = self.legacy.ledger_owed.is_some();
        let mut lost = None;
        if let Some(directory) = &self.legacy.ledger_owed {
            let Ok(ledger) = Ledger::begin(directory) else { return };
            lost = self.legacy.ledger.replace(ledger);
        }
        let Some(ledger) = &mut self.legacy.ledger else { return };
        if !is_new && !ledger.is_failing() {
            return;
        }
        ledger.mend();
        let slots: Vec<_> = self.supervisor.services().map(|(slot, _)| slot).collect();
        let is_whole = slots.into_iter().all(|slot| self.write_again(slot, lost.as_ref()));
        let Some(ledger) = &mut self.legacy.ledger else { return };
        if is_whole && (!is_new || ledger.publish().is_ok()) {
            self.legacy.ledger_owed = None;
            report!(self.reporter, Level::Info, "The state file is written again");
        } else if is_new {
            self.legacy.ledger = lost;
        }
    }

    /// Writes down a service and its process once more; false if that fails again.
    fn write_again(&mut self, slot: Slot, lost: Option<&Ledger>) -> bool {
        let Some(service) = self.supervisor.get(slot) else { return true };
        let mut head = service.state.pid();
        if let State::Clearing { group, .. } = service.state {
            head = Some(group);
        }
        let Ok(stat) = head.map_or(Ok(None), Stat::look) else { return false };
        // Of what it was made only that knows while its file cannot be read.
        let kept = lost.or(self.legacy.ledger.as_ref()).map(|it| it.birth(slot.index()));
        let kept = kept.and_then(Result::ok).flatten().or_else(|| self.legacy.unread(slot));
        let is_it = |it: &Birth| stat.as_ref().is_none_or(|stat| it.is_of(stat.pid, stat.started));
        let birth = kept.filter(is_it).or_else(|| {
            let (stat, spec) = (stat.as_ref()?, self.spec(slot)?);
            let (text, pipes) = (&service.definition.text, self.pipes_of(slot));
            let birth = birth_of(stat.pid, stat.started, &spec, text, pipes);
            Some(Birth { job: service.spawned_job(), ..birth })
        });
        let Some(ledger) = &mut self.legacy.ledger else { return false };
        let lived = ledger.write(slot.index(), self.supervisor.get(slot));
        let born = birth.map_or(Ok(()), |birth| ledger.write_birth(slot.index(), &birth));
        lived.is_ok() && born.is_ok() && !ledger.is_failing()
    }

    /// The numbers of the pipes that are a service's streams, as far as they are ours.
    fn pipes_of(&self, slot: Slot) -> [u64; 3] {
        let input = self.inputs.iter().find(|(it, _)| *it == slot);
        let input = input.and_then(|(_, end)| fstat(end).ok()).map_or(0, |stat| stat.st_ino);
        let latest = |which| {
            let id = self.logs.as_ref().and_then(|logs| logs.latest_id(slot, which));
            id.map_or(0, u64::from)
        };
        [input, latest(Which::Stdout), latest(Which::Stderr)]
    }

    /// Sleeps until there is something to hear. Where the kernel cannot wait for all of
    /// it, for signals, and not for long, so that the dead are reaped all the same.
    pub(super) fn sleep(&mut self, timeout: Option<Duration>) {
        match self.poll.poll(&mut self.polled, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {}
            _ => {
                self.heard = self.polled.iter().map(|event| event.token().0).collect();
                return;
            }
        }
        let timeout = timeout.unwrap_or(AGAIN).min(AGAIN).as_millis();
        let timeout = PollTimeout::from(u16::try_from(timeout).unwrap_or(0));
        let mut signals = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let are_there = poll(&mut signals, timeout).is_ok_and(|count| count > 0);
        self.heard = are_there.then_some(SIGNALS).into_iter().collect();
    }
}
