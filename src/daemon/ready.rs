//! Waits for services to be ready: for what they say, for a line on a descriptor, for
//! somebody who takes connections. All of it is there only while a service is waited
//! for, or has a watchdog; nothing here ever waits itself.

mod asked;
mod notices;
mod port;
mod voice;

use std::ffi::CString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::pipe2;

use super::Daemon;
use super::errands::Purpose;
use super::report::{Level, report};
use crate::config::{Ready, Spec};
use crate::supervise::{Event, Fault, Moment, Pid, Slot, Stage, State, Step};
use crate::sys::child::Program;
use crate::sys::fds;
use asked::Asked;
use notices::Notices;
use port::Port;
use voice::Voice;

/// What is waited for is known to the poll by its service's place beyond this: above all
/// watched processes, below all sockets of services.
const WAITS: usize = 1 << 25;

/// By this a pipe is known again as one of ours: nobody else makes one with it, and it
/// stays what it is for as long as the pipe does.
const MARK: u32 = 0o1600;

/// More than this without a line end is read in the next turn.
const READ_MAX: usize = 4096;

/// What services are waited for, and what they say.
#[derive(Default)]
pub(super) struct Readiness {
    notices: Option<Notices>,
    voices: Vec<Voice>,
    waits: Vec<Wait>,
    /// What the going before us in this process had, and of which service each is.
    left: Vec<(OwnedFd, String)>,
    /// There is more to be read.
    has_more: bool,
    /// A stranger's notice was reported.
    is_stranger_told: bool,
}

/// One service that is not ready.
struct Wait {
    slot: Slot,
    way: Way,
}

enum Way {
    /// Our end of its pipe.
    Pipe(OwnedFd),
    Port(Port),
    Command(Asked),
}

impl Wait {
    fn token(&self) -> Token {
        Token(WAITS.saturating_add(self.slot.index()))
    }

    fn fd(&self) -> Option<RawFd> {
        match &self.way {
            Way::Pipe(end) => Some(end.as_raw_fd()),
            Way::Port(port) => port.fd(),
            Way::Command(_) => None,
        }
    }
}

impl Readiness {
    /// Begins with what the going before us in this process had, if it had anything.
    pub(super) fn inherit(left: Vec<(OwnedFd, String)>) -> Option<Box<Readiness>> {
        let is_needed = !left.is_empty();
        is_needed.then(|| Box::new(Readiness { left, ..Readiness::default() }))
    }

    /// When there is something to be done.
    pub(super) fn wake_at(&self, now: Moment) -> Option<Moment> {
        let ports = self.waits.iter().filter_map(|it| match &it.way {
            Way::Pipe(_) => None,
            Way::Port(port) => port.at,
            Way::Command(asked) => asked.at,
        });
        let voices = self.voices.iter().filter_map(|it| it.due);
        ports.chain(voices).chain(self.has_more.then_some(now)).min()
    }

    /// Waits for a service no more.
    fn drop_wait(&mut self, slot: Slot, registry: &Registry) {
        while let Some(index) = self.waits.iter().position(|it| it.slot == slot) {
            let wait = self.waits.swap_remove(index);
            if let Some(fd) = wait.fd() {
                // A child that is not its program yet may have a copy (epoll(7)).
                let _ = registry.deregister(&mut SourceFd(&fd));
            }
        }
    }

    /// Waits for a line on this end of a pipe.
    fn wait_for_line(&mut self, slot: Slot, end: OwnedFd, registry: &Registry) {
        self.drop_wait(slot, registry);
        let wait = Wait { slot, way: Way::Pipe(end) };
        if let Some(fd) = wait.fd() {
            // Without memory for the watch it is heard when anything else happens.
            let _ = registry.register(&mut SourceFd(&fd), wait.token(), Interest::READABLE);
        }
        self.waits.push(wait);
    }
}

fn voiceless(error: &std::io::Error) -> Fault {
    Fault { step: Step::Voice, errno: error.raw_os_error().unwrap_or(nix::libc::EIO) }
}

/// Sets a variable that only we may set.
fn set(program: &mut Program, name: &str, value: &str) {
    let line = [name, "=", value].concat();
    let own = line.get(..=name.len()).unwrap_or_default().as_bytes();
    program.envp.retain(|it| !it.as_bytes().starts_with(own));
    program.envp.extend(CString::new(line).ok());
}

impl Daemon {
    /// Gives a program what it needs to say that it is ready, or that it is well; the end
    /// of a pipe that is to be kept until it was forked.
    pub(super) fn prepare_readiness(
        &mut self,
        slot: Slot,
        spec: &Spec,
        program: &mut Program,
    ) -> Result<Option<OwnedFd>, Fault> {
        let care = &spec.policy.care;
        if care.ready.is_by_itself() && !care.is_heard() {
            return Ok(None);
        }
        if care.is_heard() {
            let path = self.open_notices().map_err(|error| voiceless(&error))?;
            set(program, "NOTIFY_SOCKET", &path);
        }
        if let Some(watchdog) = care.watchdog {
            set(program, "WATCHDOG_USEC", &watchdog.as_micros().to_string());
            program.envp.push(Program::WATCHDOG_PID.to_owned());
        }
        let readiness = self.readiness.get_or_insert_default();
        let registry = self.poll.registry();
        readiness.drop_wait(slot, registry);
        match care.ready {
            Ready::Exec | Ready::Uptime | Ready::Notify => {}
            Ready::Descriptor(number) => {
                let made = pipe(program).map_err(|error| voiceless(&error))?;
                program.voice = Some((made.1.as_raw_fd(), RawFd::from(number)));
                readiness.wait_for_line(slot, made.0, registry);
                return Ok(Some(made.1));
            }
            Ready::Port(address) => {
                readiness.waits.push(Wait { slot, way: Way::Port(Port::new(address)) });
            }
            Ready::Command => {
                readiness.waits.push(Wait { slot, way: Way::Command(Asked::default()) });
            }
        }
        Ok(None)
    }

    /// Does what a change of a service calls for: who runs is waited for, and who is up
    /// is watched.
    pub(super) fn mind_readiness(&mut self, slot: Slot) {
        let (Some(readiness), Some(service)) = (&mut self.readiness, self.supervisor.get(slot))
        else {
            return;
        };
        let registry = self.poll.registry();
        let is_starting = matches!(service.state, State::Starting { .. });
        if service.definition.policy.care.ready == Ready::Command && !is_starting {
            // Nobody wants to know any more.
            self.errands.cancel(Purpose::Ready, &service.name);
        }
        match service.state {
            State::Starting { .. } if service.stage == Stage::Running => {
                for wait in readiness.waits.iter_mut().filter(|it| it.slot == slot) {
                    match &mut wait.way {
                        Way::Pipe(_) => {}
                        Way::Port(port) => port.begin(self.now),
                        Way::Command(asked) => asked.begin(self.now),
                    }
                }
            }
            State::Starting { .. } => {}
            State::Up { .. } => {
                readiness.drop_wait(slot, registry);
                readiness.guard(slot, service.definition.policy.care.watchdog, self.now);
            }
            State::Stopping { .. } => {
                readiness.drop_wait(slot, registry);
                readiness.unguard(slot);
            }
            State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Clearing { .. }
            | State::Ending
            | State::Finishing { .. }
            | State::Quarantined { .. }
            | State::Done
            | State::Failed => {
                readiness.drop_wait(slot, registry);
                readiness.voices.retain(|it| it.slot != slot);
            }
        }
    }

    /// Hears whatever is to be heard, before it is known who has died since he said it.
    pub(super) fn hear_readiness(&mut self) {
        let Some(readiness) = &mut self.readiness else { return };
        readiness.has_more = false;
        self.hear_notices();
        self.hear_pipes();
        self.try_ports();
        self.ask_commands();
        self.look_after_watchdogs();
    }

    /// What runs is ready.
    fn step_ready(&mut self, slot: Slot) {
        self.catch_up(slot);
        self.supervisor.step(slot, Event::Ready, self.now);
    }

    /// A program that talks has been executed, be that heard already or not.
    fn catch_up(&mut self, slot: Slot) {
        let service = self.supervisor.get(slot).filter(|it| it.stage == Stage::Forked);
        if let Some(pid) = service.and_then(|it| it.state.pid()) {
            self.hear(pid, false);
        }
    }

    fn hear_pipes(&mut self) {
        let Some(readiness) = &self.readiness else { return };
        let slots: Vec<_> = readiness.waits.iter().map(|it| it.slot).collect();
        for slot in slots {
            let heard = self.read_pipe(slot);
            let readiness = self.readiness.get_or_insert_default();
            match heard {
                Heard::Nothing => {}
                Heard::More => readiness.has_more = true,
                Heard::Line => self.step_ready(slot),
                Heard::End => {
                    readiness.drop_wait(slot, self.poll.registry());
                    let name = self.supervisor.get(slot).map_or("", |it| &it.name);
                    let what = "closed its descriptor without a line on it, so is never ready";
                    report!(self.reporter, Level::Warning, "{name}: {what}");
                }
            }
        }
    }

    fn read_pipe(&mut self, slot: Slot) -> Heard {
        let waits = self.readiness.as_ref().map(|it| &it.waits);
        let wait = waits.and_then(|it| it.iter().find(|it| it.slot == slot));
        let Some(Wait { way: Way::Pipe(end), .. }) = wait else { return Heard::Nothing };
        let Ok(end) = end.try_clone() else { return Heard::More };
        let (mut end, mut bytes) = (File::from(end), [0; 256]);
        for _ in 0..READ_MAX / bytes.len() {
            match end.read(&mut bytes) {
                Ok(0) => return Heard::End,
                Ok(count) if bytes.iter().take(count).any(|&it| it == b'\n') => return Heard::Line,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::Nothing,
                Err(_) => return Heard::End,
            }
        }
        Heard::More
    }

    /// Takes up the wait for a service that runs already, and begins to listen to it.
    pub(super) fn reclaim_readiness(&mut self, slot: Slot, pid: Pid) {
        let Some(service) = self.supervisor.get(slot) else { return };
        let (care, name) = (&service.definition.policy.care, service.name.clone());
        let (ready, is_heard) = (care.ready, care.is_heard());
        if ready.is_by_itself() && !is_heard {
            return;
        }
        let is_starting =
            matches!(service.state, State::Starting { .. }) && service.stage == Stage::Running;
        // What it said between two goings waits for the next one only if that was given
        // the socket.
        let mut is_heard_of = true;
        if is_heard {
            is_heard_of = self.has_notices();
            if let Err(error) = self.open_notices() {
                let why = crate::sys::explain(&error);
                report!(self.reporter, Level::Warning, "{name}: can't be listened to: {why}");
            }
        }
        let readiness = self.readiness.get_or_insert_default();
        if !is_starting {
            return;
        }
        match ready {
            Ready::Exec | Ready::Uptime => is_heard_of = true,
            Ready::Notify => {}
            Ready::Descriptor(number) => {
                let end = readiness.claim(&name).or_else(|| reopen(pid, number));
                is_heard_of = end.is_some();
                if let Some(end) = end {
                    readiness.wait_for_line(slot, end, self.poll.registry());
                    readiness.has_more = true;
                }
            }
            Ready::Port(address) => {
                is_heard_of = true;
                readiness.waits.push(Wait { slot, way: Way::Port(Port::new(address)) });
            }
            Ready::Command => {
                is_heard_of = true;
                readiness.waits.push(Wait { slot, way: Way::Command(Asked::default()) });
            }
        }
        if !is_heard_of {
            self.supervisor.step(slot, Event::Unheard, self.now);
        }
    }

    /// For a going that takes our place: descriptors, and what each is.
    pub(super) fn bequeathed_readiness(&self) -> Vec<(RawFd, String)> {
        let Some(readiness) = &self.readiness else { return Vec::new() };
        let mut all: Vec<_> =
            readiness.notices.iter().map(|it| (it.socket.as_raw_fd(), "n".to_owned())).collect();
        for wait in &readiness.waits {
            let service = self.supervisor.get(wait.slot);
            if let (Way::Pipe(end), Some(service)) = (&wait.way, service) {
                all.push((end.as_raw_fd(), format!("r{}", service.name)));
            }
        }
        all
    }

    /// What nobody claimed of what we were given is of no use any more.
    pub(super) fn drop_unclaimed_readiness(&mut self) {
        if let Some(readiness) = &mut self.readiness {
            readiness.left = Vec::new();
        }
    }
}

/// What there was on a descriptor.
enum Heard {
    Nothing,
    /// And perhaps a line behind it.
    More,
    Line,
    End,
}

impl Readiness {
    /// What was handed over for a service.
    fn claim(&mut self, name: &str) -> Option<OwnedFd> {
        let is_it = |text: &str| text.strip_prefix('r') == Some(name);
        let index = self.left.iter().position(|(_, text)| is_it(text))?;
        Some(self.left.swap_remove(index).0)
    }
}

/// A pipe with a mark; our end of it, and the one for the program. That can be opened
/// again as long as it has it.
fn pipe(program: &Program) -> std::io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    fchmod(&write, Mode::from_bits_truncate(MARK))?;
    let owner = program.identity.as_ref().map(|it| (it.uid.as_raw(), it.gid.as_raw()));
    let write = fds::reopen_pipe(write, owner)?;
    // Out of the way of what it is given as 3, 4 and so on.
    Ok((read, fds::lift(write, program.passed.len())?))
}

/// Our end of the pipe which a process has by this number, if that is one we made.
fn reopen(pid: Pid, number: u8) -> Option<OwnedFd> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
    let path = format!("/proc/{}/fd/{number}", pid.0);
    let stat = std::fs::metadata(&path).ok()?;
    let is_ours = |it: &std::fs::Metadata| it.file_type().is_fifo() && it.mode() & 0o7777 == MARK;
    if !is_ours(&stat) {
        return None;
    }
    let flags = OFlag::O_NONBLOCK.bits();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().is_ok_and(|it| is_ours(&it)).then(|| file.into())
}
