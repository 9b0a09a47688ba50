//! What runs around a service: its setup and its finish. Each is prepared as the
//! service itself is, told the facts in its environment, and never waited for.

use std::ffi::CString;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::report::{Level, report};
use super::{Daemon, spawn, tell};
use crate::config::care::{Condition, Test};
use crate::config::{Spec, Stream};
use crate::supervise::{Event, Exit, Fault, Job, Service, Slot, Stage, State};
use crate::sys::child::Program;

/// Makes of a service's spec that of one of its jobs; its own command.
pub(super) fn dress(spec: &mut Spec, job: Job) -> Vec<String> {
    let has_setup = !spec.setup.is_empty();
    let words = match job {
        Job::Main => spec.cmd.clone(),
        Job::Setup => std::mem::take(&mut spec.setup),
        Job::Finish => std::mem::take(&mut spec.finish),
    };
    // A log is emptied once a run, and what is sent is for the service alone.
    spec.log.truncate &= if has_setup { job == Job::Setup } else { job == Job::Main };
    if job != Job::Main && spec.stdin == Stream::Pipe {
        spec.stdin = Stream::Null;
    }
    std::mem::replace(&mut spec.cmd, words)
}

/// Tells a job what it is run for, in variables of its own.
pub(super) fn tell_facts(program: &mut Program, service: &Service, job: Job) {
    let event = match job {
        Job::Main => return,
        Job::Setup => "setup",
        Job::Finish => "finish",
    };
    let mut facts = format!("GOING_EVENT={event}\n");
    // Writing into a string cannot fail.
    let _ = writeln!(facts, "GOING_STRIKES={}", service.strikes);
    put_death(&mut facts, service);
    put_facts(program, &facts);
}

/// How its last run ended, a variable a line.
pub(super) fn put_death(facts: &mut String, service: &Service) {
    if let Some(death) = service.last() {
        let _ = match death.exit {
            Some(Exit::Code(code)) => writeln!(facts, "GOING_EXIT={code}"),
            Some(Exit::Signal { signal, .. }) => writeln!(facts, "GOING_SIGNAL={}", signal.word()),
            Some(Exit::Memory) => writeln!(facts, "GOING_SIGNAL=KILL"),
            Some(Exit::Unknown) => writeln!(facts, "GOING_EXIT=unknown"),
            None => Ok(()),
        };
        if let Some(pid) = service.last_pid() {
            let _ = writeln!(facts, "GOING_PID={}", pid.0);
        }
        let ordered = if death.ordered { "yes" } else { "no" };
        let seconds = death.ran.as_secs();
        let _ = write!(facts, "GOING_UPTIME={seconds}\nGOING_ORDERED={ordered}\n");
    }
}

/// Puts facts, a variable a line, into the environment of a program.
pub(super) fn put_facts(program: &mut Program, facts: &str) {
    let name = |line: &[u8]| line.split(|&byte| byte == b'=').next().map(<[u8]>::to_vec);
    let told: Vec<_> = facts.lines().filter_map(|line| name(line.as_bytes())).collect();
    program.envp.retain(|line| name(line.as_bytes()).is_none_or(|it| !told.contains(&it)));
    program.envp.extend(facts.lines().filter_map(|line| CString::new(line).ok()));
}

impl Daemon {
    /// Has those services started whose conditions have come to be met.
    pub(super) fn look_at_conditions(&mut self) {
        let is_unmet = |(_, it): &(Slot, &Service)| matches!(it.state, State::Unmet { .. });
        let slots = self.supervisor.services().filter(is_unmet).map(|(slot, _)| slot);
        for slot in slots.collect::<Vec<_>>() {
            let (Some(service), Some(spec)) = (self.supervisor.get(slot), self.spec(slot)) else {
                continue;
            };
            if unmet(service, &spec).is_none() {
                self.supervisor.step(slot, Event::Look, self.now);
            }
        }
    }

    /// Reports that the finish of a service could not be run.
    pub(super) fn tell_unfinished(&mut self, slot: Slot, fault: Fault) {
        let (Some(service), Some(mut spec)) = (self.supervisor.get(slot), self.spec(slot)) else {
            return;
        };
        let _ = dress(&mut spec, Job::Finish);
        let ((sentence, _), name) = (spawn::explain(fault, &spec), &service.name);
        report!(self.reporter, Level::Warning, "{name}: finish was not run: {sentence}");
    }

    /// Reports that it failed, if a finish is what has just ended.
    pub(super) fn tell_finished(&mut self, slot: Slot, exit: Exit) {
        let Some(service) = self.supervisor.get(slot) else { return };
        let is_finish = service.stage == Stage::Finish && service.state.pid().is_some();
        if is_finish && exit != Exit::Code(0) {
            let (name, how) = (&service.name, tell::ended(exit));
            report!(self.reporter, Level::Warning, "{name}: finish failed ({how})");
        }
    }
}

/// The first condition of a service that is not met, before its run has begun.
pub(super) fn unmet(service: &Service, spec: &Spec) -> Option<u8> {
    if service.stage != Stage::Fresh || service.job() == Job::Finish {
        return None;
    }
    let index = spec.conditions.iter().position(|it| !is_met(it))?;
    u8::try_from(index).ok()
}

/// Whether a condition is met now.
fn is_met(condition: &Condition) -> bool {
    let path = Path::new(&condition.what);
    let is_so = match condition.test {
        Test::Path => path.exists(),
        Test::Directory => path.is_dir(),
        Test::Nonempty => match fs::metadata(path) {
            Ok(it) if it.is_dir() => fs::read_dir(path).is_ok_and(|mut it| it.next().is_some()),
            Ok(it) => it.len() > 0,
            Err(_) => false,
        },
        Test::Variable => std::env::var_os(&condition.what).is_some_and(|it| !it.is_empty()),
    };
    is_so != condition.is_not
}
