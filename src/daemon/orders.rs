//! What signals ask of going, and how it ends.

use nix::libc;

use super::Daemon;
use super::report::{Level, report};

impl Daemon {
    /// What the signals since the last turn ask for. SIGCHLD is among them, which
    /// is why this comes before the reaping, and obeying after it.
    pub(super) fn read_signals(&mut self) -> Vec<u32> {
        let signals = std::iter::from_fn(|| self.signals.read_signal().ok().flatten());
        let orders = signals.map(|info| info.ssi_signo);
        orders.filter(|&signal| signal != libc::SIGCHLD.unsigned_abs()).collect()
    }

    pub(super) fn obey(&mut self, orders: &[u32]) {
        for signal in orders {
            match i32::try_from(*signal) {
                Ok(libc::SIGTERM) => self.close("SIGTERM"),
                Ok(libc::SIGINT) => self.close("SIGINT"),
                Ok(libc::SIGQUIT) => self.leave(),
                Ok(libc::SIGHUP) => self.ring(),
                Ok(libc::SIGUSR1) => self.reopen_logs(),
                _ => {}
            }
        }
    }

    pub(super) fn close(&mut self, name: &str) {
        let count = self.supervisor.alive();
        if self.supervisor.is_closing() {
            report!(self.reporter, Level::Info, "{name} again: killing {count} services");
        } else {
            report!(self.reporter, Level::Info, "{name}: stopping {count} services");
        }
        self.supervisor.close(self.now);
    }

    /// Ends, and leaves the services to the next going.
    fn leave(&mut self) {
        if self.legacy.is_written() {
            self.is_leaving = true;
        } else {
            report!(self.reporter, Level::Warning, "SIGQUIT ignored: there is no state file");
        }
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_over(&self) -> bool {
        self.is_leaving || self.supervisor.is_closing() && self.supervisor.alive() == 0
    }

    /// Says how it ended.
    pub(super) fn end(&mut self) {
        if self.is_leaving {
            let count = self.supervisor.alive();
            report!(self.reporter, Level::Info, "SIGQUIT: leaving {count} services as they are");
        } else {
            self.legacy.end();
            report!(self.reporter, Level::Info, "all services stopped");
        }
        self.reporter.flush();
    }
}
