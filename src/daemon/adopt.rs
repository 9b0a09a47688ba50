//! Services that an earlier going started, taken up by this one: found by the
//! state file, known by pid and time of birth, and watched through pidfds, for they
//! are not our children. What does not match is a stranger's, and never touched.

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use super::family::{Census, Head};
use super::report::{Level, Reporter, report};
use super::stat::Stat;
use super::state::{self, Found, Kept, Ledger, Unread};
use super::upgrade::{self, Handover, Upgrade};
use super::watch::{Watch, find, is_gone, is_over, send_plainly};
use super::{Daemon, logger, trace};
use nix::poll::{PollTimeout, poll};

use crate::config::keys::{self, Effect};
use crate::config::{Policy, Signal, Spec, Whom, parse};
use crate::supervise::record::Birth;
use crate::supervise::{
    Definition, Event, Job, Moment, Pid, Remains, Slot, State, Stay, Want, digest,
};
use crate::sys::child::Program;
use crate::sys::register::Register;
use crate::sys::streams::Source;
use crate::sys::{self, fds, pidfds, processes};

/// A going that lost its lock is about to end; one that lasts longer is not.
const PATIENCE_MS: u16 = 5000;

/// What cannot be looked at now is looked at again after so long, so often.
const PAUSE_MS: u16 = 100;
const LOOKS: u16 = PATIENCE_MS / PAUSE_MS;

/// Why we may not supervise anything.
pub(super) enum Refused {
    /// This going has lost its lock, but still works.
    Held(Pid),
    /// There is a state file which cannot be read now.
    Blind(io::Error),
}

/// What an earlier going left to us, and what we leave to the next one.
pub(super) struct Legacy {
    /// Where changes are written down, if there is a place.
    pub(super) ledger: Option<Ledger>,
    /// Where that place is to be made when it can be.
    pub(super) ledger_owed: Option<PathBuf>,
    /// By which the processes of our services name our run directory.
    mark: Option<CString>,
    /// Services which no file has claimed yet.
    kept: Vec<Kept>,
    /// Services that were taken up without their file, and of what they were made.
    unread: Vec<(Slot, Birth)>,
    pub(super) watches: Vec<Watch>,
    /// When those are looked at which have no descriptor.
    pub(super) look_at: Moment,
    taken: usize,
    died: usize,
    /// An upgrade under way.
    pub(super) upgrade: Option<Upgrade>,
    /// Where our program is.
    pub(super) program: Option<PathBuf>,
}

/// The digest of those values which a running process cannot change. One that is as
/// if it were not set does not count, so that a going with more keys than we have
/// sees no difference.
fn values(spec: &Spec) -> u64 {
    let plain = Spec::default();
    let mut text = String::new();
    for key in keys::all().filter(|key| key.effect == Effect::Restart) {
        let value = (key.get)(spec);
        if value != (key.get)(&plain) {
            text.extend([key.name, "=", &value, "\n"]);
        }
    }
    digest(text.as_bytes())
}

/// What a process is written down as.
pub(super) fn birth_of(pid: Pid, tick: u64, spec: &Spec, text: &[u8], pipes: [u64; 3]) -> Birth {
    let (job, born) = (Job::Main, (tick, tick));
    Birth { pid, job, born, text: digest(text), values: values(spec), pipes }
}

/// The number of the pipe that a stream is, if it is one of ours.
fn pipe_of(stream: &Source) -> u64 {
    let Source::Descriptor(fd) = stream else { return 0 };
    fds::inode(*fd).unwrap_or(0)
}

impl Legacy {
    /// Reads what an earlier going left in the run directory, and begins to leave
    /// something ourselves.
    ///
    /// # Errors
    /// Why we may not supervise anything, in words.
    pub(super) fn open(
        directory: Option<&Path>,
        reporter: &mut Reporter,
    ) -> Result<Legacy, Refused> {
        let mut legacy = Legacy {
            ledger: None,
            ledger_owed: None,
            mark: directory.and_then(state::mark),
            kept: Vec::new(),
            unread: Vec::new(),
            watches: Vec::new(),
            look_at: Moment(0),
            taken: 0,
            died: 0,
            upgrade: None,
            program: upgrade::own_program(),
        };
        let Some(directory) = directory else { return Ok(legacy) };
        let path = directory.join("state");
        let shown = path.display();
        match read_patiently(&path).map_err(Refused::Blind)? {
            Ok(None) => {}
            Ok(Some(found)) => {
                await_end(found.writer).map_err(Refused::Held)?;
                if found.broken > 0 {
                    let count = found.broken;
                    report!(reporter, Level::Warning, "{shown}: {count} damaged records ignored");
                }
                // Read again, for the other may have written until its end.
                let again = read_patiently(&path).map_err(Refused::Blind)?;
                legacy.kept = again.ok().flatten().map_or(found.kept, |it| it.kept);
            }
            Err(why) => report!(reporter, Level::Warning, "{shown} ignored: {why}"),
        }
        match Ledger::begin(directory) {
            Ok(ledger) => legacy.ledger = Some(ledger),
            Err(error) => {
                let why = sys::explain(&error);
                let so = "should this going be killed, services would be started twice";
                report!(reporter, Level::Warning, "Can't write {shown}: {why}; {so}");
                if sys::is_passing(&error) {
                    legacy.ledger_owed = Some(directory.to_owned());
                }
            }
        }
        Ok(legacy)
    }

    fn watch(&self, pid: Pid) -> Option<&Watch> {
        self.watches.iter().find(|it| it.head == pid)
    }

    /// The mark of all processes of our services.
    pub(super) fn own_mark(&self) -> Option<&[u8]> {
        self.mark.as_ref().map(|mark| mark.as_bytes())
    }

    /// The mark of a service's processes, if they are no descendants of ours.
    pub(super) fn mark_of(&self, head: Pid) -> Option<&[u8]> {
        self.watch(head).and_then(|_| self.own_mark())
    }

    /// Sends a signal to a main process, or to its group.
    pub(super) fn send(&self, pid: Pid, signal: Signal, is_group: bool) -> io::Result<()> {
        match self.watch(pid) {
            Some(watch) => watch.send(signal, is_group),
            None => send_plainly(pid, signal, is_group),
        }
    }

    /// Names our run directory in a program's environment, and answers with where
    /// its process is to write itself down.
    pub(super) fn register(
        &self,
        (slot, job): (Slot, Job),
        name: &str,
        program: &mut Program,
        spec: &Spec,
        text: &[u8],
    ) -> Register<'_> {
        self.sign(name, program);
        let tick = sys::ticks();
        let pipes = program.streams.each_ref().map(pipe_of);
        let birth = Birth { job, ..birth_of(Pid(0), tick, spec, text, pipes) };
        let place = self.ledger.as_ref().and_then(|ledger| ledger.place(slot.index()));
        let parent = Pid(i32::try_from(std::process::id()).unwrap_or(0));
        Register { parent, place, birth }
    }

    /// The same for one that is no service, and is not written down.
    pub(super) fn register_errand(&self, name: &str, program: &mut Program) -> Register<'_> {
        self.sign(name, program);
        let parent = Pid(i32::try_from(std::process::id()).unwrap_or(0));
        let birth = birth_of(Pid(0), 0, &Spec::default(), &[], [0; 3]);
        Register { parent, place: None, birth }
    }

    /// The trace of a service of ours.
    pub(super) fn trace(&self, name: &str) -> u32 {
        trace::slack(name, self.own_mark())
    }

    /// Names our run directory in the environment of a program, and nobody else's; gives
    /// it the trace of its service.
    fn sign(&self, name: &str, program: &mut Program) {
        program.slack = trace::is_readable().then(|| self.trace(name));
        let ours = [&b"GOING_RUN_DIR="[..], b"GOING_HANDOVER=", b"GOING_ERRAND="];
        program.envp.retain(|line| !ours.iter().any(|name| line.as_bytes().starts_with(name)));
        program.envp.extend(self.mark.clone());
    }

    /// Another process is the service from now on, made as the last one was.
    pub(super) fn hand_down(&mut self, slot: Slot, heir: Pid, born: u64) {
        if let Some(ledger) = &mut self.ledger {
            // Without it a next going would start the service beside what runs;
            // what cannot be written is told with the next change.
            let _ = ledger.hand_down(slot.index(), heir, born);
        }
    }

    /// Of what a service was made that was taken up without its file.
    pub(super) fn unread(&self, slot: Slot) -> Option<Birth> {
        self.unread.iter().find(|(it, _)| *it == slot).map(|(_, birth)| *birth)
    }

    /// Whether every service that was kept has found its file.
    pub(super) fn is_claimed(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether there is something for a next going to take up.
    pub(super) fn is_written(&self) -> bool {
        self.ledger.is_some() && self.ledger_owed.is_none()
    }

    /// Nothing is left that a next going could take up.
    pub(super) fn end(&self) {
        if let Some(ledger) = &self.ledger {
            ledger.remove();
        }
    }
}

/// Waits for a going that has just been killed to be quite dead: only then are those
/// of its children dead, too, which had not written themselves down.
fn await_end((writer, started): (Pid, u64)) -> Result<(), Pid> {
    let is_us = u32::try_from(writer.0) == Ok(std::process::id());
    if is_us || is_gone(writer, started) {
        return Ok(());
    }
    let Ok(pidfd) = pidfds::open(writer) else {
        // Without a descriptor for it we look for ourselves.
        let is_over = (0..LOOKS).any(|_| is_gone(writer, started) || pause());
        return if is_over { Ok(()) } else { Err(writer) };
    };
    // Now that it is held, once more: the pid could have been another's.
    let is_it = find(writer, started).is_some();
    if is_it && !is_over(&pidfd, PATIENCE_MS) { Err(writer) } else { Ok(()) }
}

/// Waits for a moment; never true.
fn pause() -> bool {
    let _ = poll(&mut [], PollTimeout::from(PAUSE_MS));
    false
}

/// Reads the state file, however long there are no descriptors or no memory to do so:
/// a service that is not seen would be started twice.
///
/// # Errors
/// There still are none, so nothing can be known.
fn read_patiently(path: &Path) -> io::Result<Result<Option<Found>, String>> {
    let mut looks = LOOKS;
    loop {
        match state::read(path) {
            Ok(found) => return Ok(Ok(found)),
            Err(Unread::Useless(why)) => return Ok(Err(why)),
            Err(Unread::Passing(error)) if looks == 0 => return Err(error),
            Err(Unread::Passing(_)) => {
                looks -= 1;
                pause();
            }
        }
    }
}

impl Daemon {
    /// Takes up a service that has a file, or starts it if nobody kept it.
    pub(super) fn add(&mut self, name: &str, definition: Definition) {
        let kept = &mut self.legacy.kept;
        match kept.iter().position(|it| it.record.name() == name) {
            Some(index) => {
                let kept = kept.swap_remove(index);
                self.take_up(kept, definition, true);
            }
            None => self.supervisor.add(name, definition, self.now),
        }
    }

    /// Takes up services which have no file, or none that can be used, and makes all
    /// that was found ours.
    pub(super) fn take_up_rest(&mut self, handover: Handover) {
        self.start_main();
        // Without a listing nothing is known to be gone.
        let is_unread = self.refused.contains("");
        for kept in std::mem::take(&mut self.legacy.kept) {
            let name = kept.record.name().to_owned();
            let own = self.logs.as_ref().filter(|_| name == logger::NAME);
            let own = own.map(|logs| logs.place.definition());
            let is_refused = is_unread || self.refused.contains(&name);
            let is_here = own.is_some() || is_refused;
            let nothing = Definition { text: Box::new([]), policy: Policy::default().into() };
            let birth = kept.birth.filter(|_| own.is_none());
            let slot = self.take_up(kept, own.unwrap_or(nothing), is_here);
            match (slot, birth) {
                (Some(slot), Some(birth)) if is_refused => self.legacy.unread.push((slot, birth)),
                (Some(slot), _) if !is_here => {
                    report!(self.reporter, Level::Info, "{name}: file gone, stopping");
                    self.supervisor.step(slot, Event::Leave(Stay::Gone), self.now);
                }
                (Some(_) | None, _) => {}
            }
            self.follow_up();
        }
        if self.supervisor.find(logger::NAME).is_some() {
            self.need_logger();
        }
        let (taken, died) = (self.legacy.taken, self.legacy.died);
        if taken > 0 || died > 0 {
            report!(self.reporter, Level::Info, "took up {taken} services, {died} died meanwhile");
        }
        let published = self.legacy.ledger.as_ref().map(Ledger::publish);
        if let Some(Err(error)) = published {
            self.tell_failure(&error);
        }
        self.inherit_pipes(handover.pipes);
        self.drop_unclaimed_sockets();
        self.drop_unclaimed_readiness();
        // What were our children before an upgrade are so still.
        self.reap();
        self.finish_upgrade(handover.client);
    }

    /// Takes up one service. One that has no file is not worth it unless something
    /// of it runs.
    fn take_up(&mut self, kept: Kept, definition: Definition, is_here: bool) -> Option<Slot> {
        let Kept { record, birth, stat } = kept;
        let (name, state) = (record.name().to_owned(), record.state());
        let (birth, stat, has_moved) = self.find_heir(&record, &definition.policy, birth, stat);
        let found = match &stat {
            Some(stat) => {
                let age = sys::ticks().saturating_sub(stat.started).saturating_mul(10);
                let job = birth.filter(|it| it.pid == stat.pid).map_or(Job::Main, |it| it.job);
                Remains::Process(job, stat.pid, Moment(self.now.0.saturating_sub(age)))
            }
            None => self.look_for_rest(&name, state, birth.as_ref(), definition.policy.kill),
        };
        if !is_here && !matches!(found, Remains::Process(..) | Remains::Group(_)) {
            return None;
        }
        let spec = parse(&definition.text, &self.defaults).ok();
        let text = digest(&definition.text);
        let slot = self.supervisor.adopt(record.into_service(definition), found, self.now)?;
        match (found, stat) {
            (Remains::Process(_, pid, _), Some(stat)) => {
                self.legacy.taken += 1;
                let birth = birth.filter(|birth| birth.is_of(pid, stat.started));
                self.keep(slot, &stat, birth);
                self.take_up_cgroup(slot, pid);
                if has_moved {
                    self.supervisor.step(slot, Event::Moved(pid), self.now);
                }
                if let Some(spec) = &spec {
                    self.rewatch_files(slot, spec);
                }
                let is_same = birth
                    .zip(spec.as_ref())
                    .is_none_or(|(birth, spec)| birth.text == text || birth.values == values(spec));
                if !is_same && self.supervisor.get(slot).is_some_and(|it| it.want == Want::Up) {
                    report!(self.reporter, Level::Info, "{name}: changed meanwhile, restarted");
                    self.supervisor.step(slot, Event::Restart, self.now);
                }
            }
            (Remains::Group(group), _) => {
                self.legacy.died += usize::from(state.pid().is_some());
                self.legacy.taken += usize::from(state.pid().is_none());
                let (head, process) = (group, group);
                let watch = Watch { head, process, started: 0, pidfd: None, is_dead: true };
                self.legacy.watches.push(watch);
                self.rest.clearing.push((slot, false));
            }
            (Remains::Nothing | Remains::Process(..), _) => {
                self.legacy.died += usize::from(state.is_alive());
                // Dead, it tells still of what file it was made.
                birth.iter().for_each(|it| self.write_birth(slot, it));
            }
        }
        Some(slot)
    }

    /// What there is of a service whose main process is dead.
    fn look_for_rest(
        &self,
        name: &str,
        state: State,
        birth: Option<&Birth>,
        whom: Whom,
    ) -> Remains {
        let born = birth.map(|birth| birth.pid);
        let head = if let State::Clearing { group, .. } = state { Some(group) } else { born };
        let mark = self.legacy.own_mark();
        let has_left = |pid: &Pid| {
            let (cgroup, known) = (Vec::new(), Vec::new());
            let trace = self.legacy.trace(name);
            let head = Head { name, pid: *pid, whom, mark, trace, cgroup, known };
            let is_worth_a_look = whom == Whom::All || processes::is_group_alive(*pid);
            whom != Whom::Process
                && is_worth_a_look
                && Census::take(|it| self.supervisor.find_pid(it).is_some()).has_marked(&head)
        };
        head.filter(has_left).map_or(Remains::Nothing, Remains::Group)
    }

    /// Writes down and watches a main process that was taken up.
    fn keep(&mut self, slot: Slot, stat: &Stat, birth: Option<Birth>) {
        let job = Job::Main;
        let unknown = Birth { pid: stat.pid, job, born: (0, 0), text: 0, values: 0, pipes: [0; 3] };
        let birth = Birth { born: (stat.started, stat.started), ..birth.unwrap_or(unknown) };
        self.write_birth(slot, &birth);
        self.reclaim_pipes(slot, stat.pid, birth.pipes);
        self.reclaim_sockets(slot, stat.pid);
        self.reclaim_readiness(slot, stat.pid);
        if self.supervisor.find(logger::NAME) == Some(slot) {
            self.rejoin_logger(stat.pid);
        }
        let us = u32::try_from(stat.parent.0) == Ok(std::process::id());
        if !us {
            self.watch_main(Watch::of_main(stat.pid, stat.started));
        }
    }

    fn write_birth(&mut self, slot: Slot, birth: &Birth) {
        let written = self.legacy.ledger.as_mut().map(|it| it.write_birth(slot.index(), birth));
        if let Some(Err(error)) = written {
            self.tell_failure(&error);
        }
    }

    /// Writes down how things are with a service now.
    pub(super) fn note(&mut self, slot: Slot) {
        let Some(ledger) = &mut self.legacy.ledger else { return };
        if let Err(error) = ledger.write(slot.index(), self.supervisor.get(slot)) {
            self.tell_failure(&error);
        }
    }

    pub(super) fn tell_failure(&mut self, error: &io::Error) {
        let why = sys::explain(error);
        let so = "should this going be killed, services would be started twice";
        report!(self.reporter, Level::Warning, "Can't write the state file: {why}; {so}");
    }

    /// Whether a service that was taken up without its file was made of this one.
    pub(super) fn is_made_of(&self, slot: Slot, text: &[u8], spec: &Spec) -> bool {
        let unread = self.legacy.unread(slot);
        unread.is_some_and(|birth| birth.text == digest(text) || birth.values == values(spec))
    }
}
