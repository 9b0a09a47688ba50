//! The sockets of services: opened by going and kept by it over whatever becomes of
//! the service, so that nobody who connects meanwhile is refused. Nothing is ever
//! accepted, received or sent here: that is the service's own business.

mod open;
mod reclaim;

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::libc;

use super::{Daemon, spawn};
use crate::config::line_of;
use crate::config::listen::{Address, Listen, ListenAs, show_address};
use crate::config::{Spec, Start};
use crate::supervise::{Event, Fault, Slot, State, Step};
use crate::sys::child::Program;
use crate::sys::fds;
use crate::sys::streams::Source;

/// Sockets are known to the poll by their service's place beyond this: above all
/// watched processes, below all clients.
const DEMANDS: usize = 1 << 26;

/// The sockets of all services.
#[derive(Default)]
pub(super) struct Listeners {
    held: Vec<Held>,
    /// Those of the going before us in this process, and of which service each is.
    left: Vec<(OwnedFd, String)>,
}

/// One socket.
struct Held {
    slot: Slot,
    listen: Listen,
    fd: OwnedFd,
    /// The device and the inode of its file, if it has one.
    file: Option<(u64, u64)>,
    is_watched: bool,
}

/// Which file is at a path; a link is one itself.
fn identity(path: &str) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|it| (it.dev(), it.ino()))
}

impl Held {
    fn new(slot: Slot, listen: Listen, fd: OwnedFd) -> Held {
        let file = if let Address::Path(path) = &listen.address { identity(path) } else { None };
        Held { slot, listen, fd, file, is_watched: false }
    }

    /// Closes it, and removes its file if that is still the one it made.
    fn close(mut self, registry: &Registry) {
        self.unwatch(registry);
        if let Address::Path(path) = &self.listen.address {
            if self.file.is_some() && self.file == identity(path) {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn watch(&mut self, registry: &Registry) -> io::Result<()> {
        if !self.is_watched {
            let token = Token(DEMANDS.saturating_add(self.slot.index()));
            // Whoever waits already makes an event of this, too (epoll(7)).
            registry.register(&mut SourceFd(&self.fd.as_raw_fd()), token, Interest::READABLE)?;
            self.is_watched = true;
        }
        Ok(())
    }

    /// Before anybody gets a copy of it: that would keep it in the poll.
    fn unwatch(&mut self, registry: &Registry) {
        if self.is_watched {
            let _ = registry.deregister(&mut SourceFd(&self.fd.as_raw_fd()));
            self.is_watched = false;
        }
    }
}

impl Listeners {
    /// Begins with what the going before us in this process held.
    pub(super) fn new(left: Vec<(OwnedFd, String)>) -> Listeners {
        Listeners { held: Vec::new(), left }
    }

    fn of(&self, slot: Slot) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(move |it| it.slot == slot)
    }

    /// The socket that a line of a service is.
    fn find(&self, slot: Slot, listen: &Listen) -> Option<&Held> {
        self.of(slot).find(|it| it.listen == *listen)
    }

    /// Closes those of a service which are not meant to be.
    fn close(&mut self, slot: Slot, but: &[Listen], registry: &Registry) {
        let is_closed = |it: &Held| it.slot == slot && !but.contains(&it.listen);
        while let Some(index) = self.held.iter().position(is_closed) {
            self.held.remove(index).close(registry);
        }
    }

    fn unwatch(&mut self, slot: Slot, registry: &Registry) {
        let own = self.held.iter_mut().filter(|it| it.slot == slot);
        own.for_each(|it| it.unwatch(registry));
    }

    /// Where a service is listened for now.
    pub(super) fn addresses(&self, slot: Slot) -> impl Iterator<Item = String> {
        self.of(slot).map(|it| show_address(&it.listen))
    }
}

impl Daemon {
    /// Does with the sockets of a service what its state calls for: they are there
    /// from the moment it is wanted until nothing will serve them any more.
    pub(super) fn mind_sockets(&mut self, slot: Slot) {
        let Some(service) = self.supervisor.get(slot) else { return };
        let state = service.state;
        let is_asked =
            !self.defaults.listen.is_empty() || line_of(&service.definition.text, "listen") > 0;
        if !is_asked && self.listeners.of(slot).next().is_none() {
            return;
        }
        let registry = self.poll.registry();
        match state {
            State::Down | State::Done | State::Failed => {
                self.listeners.close(slot, &[], registry);
            }
            State::Listening => {
                if let Err(fault) = self.await_demand(slot) {
                    self.supervisor.step(slot, Event::SpawnFailed(fault), self.now);
                }
            }
            State::Waiting | State::Quarantined { .. } => {
                self.listeners.unwatch(slot, registry);
                // What cannot be opened is told when it is to be started.
                let _ = self.spec(slot).map(|spec| self.open_sockets(slot, &spec));
            }
            State::Unmet { .. }
            | State::Starting { .. }
            | State::Up { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Ending
            | State::Finishing { .. } => self.listeners.unwatch(slot, registry),
        }
    }

    fn await_demand(&mut self, slot: Slot) -> Result<(), Fault> {
        let failed = |errno| Fault { step: Step::Listen(0), errno };
        let spec = self.spec(slot).ok_or(failed(libc::EINVAL))?;
        self.open_sockets(slot, &spec)?;
        let registry = self.poll.registry();
        for held in self.listeners.held.iter_mut().filter(|it| it.slot == slot) {
            let watched = held.watch(registry);
            watched.map_err(|error| failed(error.raw_os_error().unwrap_or(libc::EIO)))?;
        }
        Ok(())
    }

    /// Hears for whom somebody waits.
    pub(super) fn hear_demands(&mut self) {
        for index in 0..self.heard.len() {
            let token = self.heard.get(index).copied().unwrap_or(0);
            let number = token.checked_sub(DEMANDS);
            let is_it = |it: &&Held| it.is_watched && Some(it.slot.index()) == number;
            if let Some(slot) = self.listeners.held.iter().find(is_it).map(|it| it.slot) {
                self.supervisor.step(slot, Event::Demand, self.now);
            }
        }
    }

    /// Has the sockets of a service be those which its file asks for.
    fn open_sockets(&mut self, slot: Slot, spec: &Spec) -> Result<(), Fault> {
        self.listeners.close(slot, &spec.listen, self.poll.registry());
        for (listen, which) in spec.listen.iter().zip(0_u8..) {
            if self.listeners.find(slot, listen).is_some() || self.claim(slot, listen) {
                continue;
            }
            let failed = |errno: Errno| Fault { step: Step::Listen(which), errno: errno as i32 };
            let owner = spawn::socket_owner(spec, listen).map_err(failed)?;
            let fd = open::open(listen, owner).map_err(failed)?;
            self.listeners.held.push(Held::new(slot, listen.clone(), fd));
        }
        Ok(())
    }

    /// Gives a program its sockets, and tells it of them as sd_listen_fds(3) does.
    pub(super) fn pass_sockets(
        &mut self,
        slot: Slot,
        spec: &Spec,
        program: &mut Program,
    ) -> Result<(), Fault> {
        if spec.listen.is_empty() && self.listeners.held.is_empty() {
            return Ok(());
        }
        self.open_sockets(slot, spec)?;
        self.listeners.unwatch(slot, self.poll.registry());
        let mut passed: Vec<RawFd> = Vec::new();
        let mut names = Vec::new();
        for held in spec.listen.iter().filter_map(|it| self.listeners.find(slot, it)) {
            // The one before may have set this, and the next need not expect it.
            let _ = fds::set_waiting(held.fd.as_fd());
            passed.push(held.fd.as_raw_fd());
            names.push(held.listen.name.as_deref());
        }
        let Some(&first) = passed.first() else { return Ok(()) };
        let stdin = program.streams.first_mut();
        if let (ListenAs::Stdin, Some(stdin)) = (spec.listen_as, stdin) {
            *stdin = Source::Descriptor(first);
            return Ok(());
        }
        let service = self.supervisor.get(slot).map_or("", |it| &it.name).replace(':', "_");
        let names: Vec<_> = names.into_iter().map(|it| it.unwrap_or(&service)).collect();
        let ours = [&b"LISTEN_FDS="[..], b"LISTEN_FDNAMES=", Program::LISTEN_PID.to_bytes()];
        program.envp.retain(|line| !ours.iter().any(|name| line.as_bytes().starts_with(name)));
        let lines =
            [format!("LISTEN_FDS={}", passed.len()), format!("LISTEN_FDNAMES={}", names.join(":"))];
        program.envp.extend(lines.into_iter().filter_map(|it| CString::new(it).ok()));
        program.envp.push(Program::LISTEN_PID.to_owned());
        program.passed = passed;
        Ok(())
    }

    /// An idle service whose file has changed is as its new file says, and still idle.
    pub(super) fn rethink_start(&mut self, slot: Slot) -> bool {
        let Some(service) = self.supervisor.get(slot) else { return false };
        let is_demanded = service.definition.policy.start == Start::OnDemand;
        let is_idle = service.state == State::Listening
            || is_demanded && service.is_wanted() && !service.state.is_alive();
        if is_idle {
            self.supervisor.step(slot, Event::Arrive, self.now);
            self.mind_sockets(slot);
        }
        is_idle
    }
}

/// Why a socket cannot be had, in a sentence.
pub(super) fn explain(fault: Fault, which: u8, spec: &Spec, why: &str) -> String {
    let listen = spec.listen.get(usize::from(which));
    let address = listen.map_or_else(|| "a socket".to_owned(), show_address);
    let is_file = listen.is_some_and(|it| matches!(it.address, Address::Path(_)));
    let why = match fault.errno {
        libc::EEXIST if is_file => "there is something else which is no socket of ours",
        libc::EPERM if is_file => "everybody may write to its directory, or swap its file",
        libc::EINVAL if is_file => "its owner or group is not known",
        _ => why,
    };
    format!("Can't listen on {address}: {why}")
}
