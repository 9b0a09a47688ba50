//! Daemons which leave their parent: when that ends well, one of those it left to us
//! is the service from then on. All of them come to us, for we are their subreaper;
//! which one it is tell its environment, its group, and its program.

use super::Daemon;
use super::family::{Census, Head};
use super::report::{Level, report};
use crate::config::{Kind, Whom};
use crate::supervise::{Event, Exit, Job, Pid, Slot};

impl Daemon {
    /// Whether a service lives on in another process now that this one has ended.
    pub(super) fn has_moved(&mut self, slot: Slot, pid: Pid, exit: Exit) -> bool {
        let Some(service) = self.supervisor.get(slot) else { return false };
        let is_forking = service.definition.policy.kind == Kind::Forking;
        if !is_forking || exit != Exit::Code(0) || service.spawned_job() != Job::Main {
            return false;
        }
        let command = self.spec(slot).and_then(|spec| spec.cmd.into_iter().next());
        let program = command.as_deref().and_then(|it| it.rsplit('/').next());
        let head = Head {
            name: &service.name,
            pid,
            whom: Whom::All,
            mark: None,
            cgroup: Vec::new(),
            known: Vec::new(),
        };
        let is_main = |it| self.supervisor.find_pid(it).is_some() || self.errands.has(it);
        let found = Census::take(is_main).heir(&head, program.unwrap_or(""), is_main);
        let Some((heir, born)) = found else { return false };
        let name = &service.name;
        report!(self.reporter, Level::Debug, "{name}: pid {} lives on as pid {}", pid.0, heir.0);
        self.legacy.hand_down(slot, heir, born);
        self.supervisor.step(slot, Event::Moved(heir), self.now);
        true
    }
}
