//! When the loop is to go on by itself, should nothing happen: the earliest of all
//! deadlines, each of which is kept by whom it concerns.

use super::Daemon;
use crate::supervise::Moment;

impl Daemon {
    /// The earliest deadline; none lets us sleep until something happens.
    pub(super) fn wake_at(&mut self) -> Option<Moment> {
        let wake_at = [
            self.supervisor.deadline(),
            self.supervisor.has_turns().then_some(self.now),
            self.arrears.wake_at(),
            self.errands.wake_at(self.now),
            self.mind_at(),
            self.reread.map(|due| due.at),
            self.watching.as_ref().and_then(|it| it.wake_at()),
            self.server.as_ref().and_then(|server| server.wake_at(self.now)),
            self.legacy.wake_at(self.now),
            self.readiness.as_ref().and_then(|it| it.wake_at(self.now)),
        ];
        wake_at.into_iter().flatten().min()
    }
}
