//! What the core decided, done: forks, signals, and the look for what a service
//! left behind. Each deed answers with an event, in the same turn or a later one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Token};
use nix::libc;

use super::pipes::Run;
use super::report::{Level, report};
use super::{Daemon, logger, spawn, tasks};
use crate::config::{Signal, Spec, Whom};
use crate::supervise::{Action, Event, Exit, Fault, Job, Outcome, Pid, Slot, Stage, Step};
use crate::sys::child::{self, Program, Word};
use crate::sys::streams::Source;

const KILL: Signal = Signal(9);
const CONT: Signal = Signal(18);

fn fault(step: Step, error: &io::Error) -> Fault {
    Fault { step, errno: error.raw_os_error().unwrap_or(libc::EIO) }
}

/// Why nothing was forked.
enum Unspawned {
    /// It could not be.
    Fault(Fault),
    /// The condition of this number is not met.
    Unmet(u8),
}

impl From<Fault> for Unspawned {
    fn from(fault: Fault) -> Unspawned {
        Unspawned::Fault(fault)
    }
}

impl Daemon {
    /// Does what one outcome asks for.
    pub(super) fn act(&mut self, outcome: &Outcome) {
        let slot = outcome.slot;
        self.mind_sockets(slot);
        self.mind_readiness(slot);
        if outcome.before.is_alive() && !outcome.after.is_alive() {
            self.bury(slot);
        }
        match outcome.action {
            None => {}
            Some(Action::Spawn(job)) => match self.spawn(slot, job) {
                Ok((pid, ear)) => {
                    self.supervisor.step(slot, Event::Spawned(pid), self.now);
                    self.listen(pid, ear);
                }
                Err(Unspawned::Unmet(which)) => {
                    self.supervisor.step(slot, Event::Unmet(which), self.now);
                }
                Err(Unspawned::Fault(fault)) => {
                    if job == Job::Finish {
                        self.tell_unfinished(slot, fault);
                    }
                    self.supervisor.step(slot, Event::SpawnFailed(fault), self.now);
                }
            },
            Some(Action::Signal { pid, signal, whom }) => {
                if outcome.before.pid().is_some() {
                    self.get_to_know(slot, pid);
                }
                self.doubt(outcome, signal);
                // It may have died since this was decided, and been reaped.
                let is_alive = self.supervisor.find_pid(pid) == Some(slot);
                if is_alive {
                    self.signal(slot, pid, signal, whom);
                }
                if !is_alive || whom == Whom::All {
                    self.rest.families.push((slot, pid, whom, signal));
                }
            }
            Some(Action::Forget) => {
                self.forget_pipes(slot);
                self.unwatch(slot);
                self.supervisor.forget(slot);
            }
        }
    }

    fn spawn(&mut self, slot: Slot, job: Job) -> Result<(Pid, OwnedFd), Unspawned> {
        let failed = Fault { step: Step::Parse, errno: libc::EINVAL };
        let service = self.supervisor.get(slot).ok_or(failed)?;
        let mut spec = self.spec(slot).ok_or(failed)?;
        if let Some(which) = tasks::unmet(service, &spec) {
            return Err(Unspawned::Unmet(which));
        }
        let is_logger = *service.name == *logger::NAME;
        self.watch_files(slot, &spec);
        let service = self.supervisor.get(slot).ok_or(failed)?;
        let cmd = tasks::dress(&mut spec, job);
        let mut program = spawn::prepare(&service.name, &spec)?;
        let main = self.ends.main.as_ref().filter(|_| job == Job::Main);
        if let Some(main) = main.filter(|it| *it.name == *service.name) {
            main.adapt(&mut program);
        }
        let name = service.name.clone();
        tasks::tell_facts(&mut program, service, job);
        let mut voice = None;
        if job == Job::Main {
            self.pass_sockets(slot, &spec, &mut program)?;
            voice = self.prepare_readiness(slot, &spec, &mut program)?;
        }
        let run = self.connect_streams(&spec, &mut program)?;
        program.cgroup = self.prepare_cgroup(slot, &name, &spec)?;
        // Ours until the child has its own.
        let mut passed = Vec::new();
        if is_logger {
            let error = |error: io::Error| fault(Step::Log, &error);
            passed.extend(self.open_logger().map_err(error)?);
            program.passed = passed.iter().map(AsRawFd::as_raw_fd).collect();
        }
        let text = &self.supervisor.get(slot).ok_or(failed)?.definition.text;
        spec.cmd = cmd;
        let register = self.legacy.register((slot, job), &name, &mut program, &spec, text);
        let child = child::spawn(&program, self.null.as_fd(), Some(&register))?;
        // Ours would keep it from ending with the service's.
        drop(voice);
        self.keep_pipes(slot, run, &spec, (job == Job::Main).then_some(child.0));
        Ok(child)
    }

    /// Gives a program the pipes which its streams are to be.
    fn connect_streams(&mut self, spec: &Spec, program: &mut Program) -> Result<Run, Fault> {
        let owner = program.identity.as_ref().map(|it| (it.uid.as_raw(), it.gid.as_raw()));
        let run = Run::prepare(spec, owner).map_err(|error| fault(Step::Pipe, &error))?;
        for (number, stream) in program.streams.iter_mut().enumerate() {
            if let Some(fd) = run.descriptor(number) {
                *stream = Source::Descriptor(fd);
            }
        }
        if run.has_output() {
            let nobody = Fault { step: Step::Log, errno: libc::ENOENT };
            self.logs.as_ref().ok_or(nobody)?;
            self.need_logger();
        }
        Ok(run)
    }

    /// Listens for a child to become its program.
    fn listen(&mut self, pid: Pid, ear: OwnedFd) {
        let token = Token(usize::try_from(pid.0).unwrap_or(usize::MAX));
        let raw = ear.as_raw_fd();
        self.ears.push((pid, ear));
        if self.poll.registry().register(&mut SourceFd(&raw), token, Interest::READABLE).is_err() {
            // The kernel has no memory for this watch: then the child is heard
            // when it dies, and believed to run until then.
            self.hear(pid, true);
        }
    }

    pub(super) fn hear_children(&mut self) {
        for index in 0..self.heard.len() {
            // The others come along: no child has their number.
            let token = self.heard.get(index).and_then(|&token| i32::try_from(token).ok());
            self.hear(Pid(token.unwrap_or(0)), false);
        }
    }

    /// Hears how far a child came. The last words of a dead one come before the
    /// news of its death, or a program that never ran would seem to have.
    pub(super) fn hear(&mut self, pid: Pid, is_dead: bool) {
        let Some(index) = self.ears.iter().position(|&(it, _)| it == pid) else { return };
        let Some((_, ear)) = self.ears.get(index) else { return };
        let mut word = child::hear(ear.as_fd());
        let mut lacks = Vec::new();
        while let Some(Word::Lack(fault)) = word {
            lacks.push(fault);
            word = child::hear(ear.as_fd());
        }
        let is_silent = word.is_none() && !is_dead;
        let event = match word {
            Some(Word::Fault(fault)) => Event::ExecFailed(fault),
            Some(Word::Executed | Word::Lack(_)) | None => Event::Executed,
        };
        let ear = if is_silent { None } else { Some(self.ears.swap_remove(index).1) };
        for fault in lacks {
            self.tell_lack(pid, fault);
        }
        let Some(ear) = ear else { return };
        // Removed by hand: a copy in a child that was forked meanwhile would
        // keep it in the poll after we close ours (epoll(7)).
        let _ = self.poll.registry().deregister(&mut SourceFd(&ear.as_raw_fd()));
        let Some(slot) = self.supervisor.find_pid(pid) else { return };
        if let Some(Word::Fault(fault)) = word {
            let stage = self.supervisor.get(slot).map(|it| it.stage);
            if stage == Some(Stage::Finish) {
                self.tell_unfinished(slot, fault);
            }
        }
        self.supervisor.step(slot, event, self.now);
    }

    /// Signals a main process that is not reaped, and its group.
    fn signal(&mut self, slot: Slot, pid: Pid, signal: Signal, whom: Whom) {
        let send = |signal| match whom {
            Whom::Process => self.legacy.send(pid, signal, false),
            // Before setsid(2) the child is in no group of its own.
            Whom::Group | Whom::All | Whom::Strays => {
                let sent = self.legacy.send(pid, signal, true);
                sent.or_else(|_| self.legacy.send(pid, signal, false))
            }
        };
        if let Err(error) = send(signal) {
            let name = self.supervisor.get(slot).map_or("", |it| &it.name);
            report!(self.reporter, Level::Warning, "{name}: can't send {signal}: {error}");
        } else if signal != KILL {
            // A stopped process obeys nothing but KILL before it continues.
            let _ = send(CONT);
        }
    }

    /// Tells of the death of a main process, unless the service lives on in another.
    pub(super) fn tell_death(&mut self, slot: Slot, pid: Pid, exit: Exit) {
        if self.has_moved(slot, pid, exit) {
            return;
        }
        let exit = self.blame(slot, exit);
        self.tell_finished(slot, exit);
        let left = self.has_family(slot, pid);
        self.supervisor.step(slot, Event::Exited { exit, left }, self.now);
        self.rest.clearing.extend(left.then_some((slot, false)));
    }
}
