//! The run directory, should somebody remove it or what is in it while we run: it is
//! made anew at once. Without the lock a second going would start everything twice,
//! without the state the next one would, and without the socket nobody could ask.

use std::path::Path;

use super::report::{Level, report};
use super::rundir::Refusal;
use super::state::Ledger;
use super::{Daemon, logger, sys};
use crate::supervise::Event;

impl Daemon {
    /// Listens to what happens to the run directory.
    pub(super) fn watch_home(&mut self) {
        if let Some(server) = &self.server {
            self.directory.attend(&server.run_directory.path);
        }
    }

    /// Makes anew what is missing in the run directory, if anything may be.
    pub(super) fn keep_home(&mut self) {
        if !std::mem::take(&mut self.directory.is_home_hit) {
            return;
        }
        let Some(server) = &mut self.server else { return };
        let path = server.run_directory.path.clone();
        let restored = server.run_directory.restore().and_then(|is_new| {
            let is_deaf = server.listen_again()?;
            Ok(is_new || is_deaf)
        });
        let why = match restored {
            Ok(is_new) => return self.keep_files(&path, is_new),
            Err(Refusal::Held(pid)) => format!("by now it is that of pid {pid}; stop one of us"),
            Err(Refusal::Failed(error)) => {
                self.arrears.home = true;
                sys::explain(&error)
            }
        };
        if !std::mem::replace(&mut self.arrears.is_homeless, true) {
            let path = path.display();
            report!(self.reporter, Level::Error, "{path} was removed, and can't be made: {why}");
        }
    }

    /// The same with what others of us have there; whether something was missing before.
    fn keep_files(&mut self, path: &Path, mut is_new: bool) {
        self.watch_home();
        self.arrears.is_homeless = false;
        let is_lost = self.legacy.ledger.as_ref().is_some_and(Ledger::is_lost);
        if is_lost {
            self.legacy.ledger_owed = Some(path.to_owned());
            self.mend_ledger();
            is_new = true;
        }
        is_new |= self.renew_notices();
        if self.logs.as_ref().is_some_and(|logs| !logs.place.is_there()) {
            // What it has begun it can end, and the next one has all of it.
            if let Some(slot) = self.supervisor.find(logger::NAME) {
                self.supervisor.step(slot, Event::Restart, self.now);
                is_new = true;
            }
        }
        if is_new {
            let path = path.display();
            report!(self.reporter, Level::Warning, "{path} was removed, or some of it; made anew");
        }
    }
}
