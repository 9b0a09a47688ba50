//! The loop of listeners. It waits in one place, and never for a listener: an event
//! that nobody is ready for waits in the queue.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::User;
use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use super::super::ear::{Ear, Heard};
use super::super::start::complain;
use super::capture::Capture;
use super::groups::Groups;
use super::kids::Kid;
use super::lives::Lives;
use super::news::{News, Wire};
use super::options::Listen;
use super::outside::Outside;
use super::pool::{self, Pool};
use super::ticks::Ticks;
use crate::client::process::Process;
use crate::client::{self, Place};
use crate::config::grammar::show;
use crate::protocol::{Command, Message, Request};
use crate::supervise::Moment;
use crate::sys;

/// Who did not take an event gets it again after this, or would do nothing else.
const REST: Duration = Duration::from_millis(250);

/// When we are to end, listeners have so long for what they have in hand, and then as
/// long again to end.
const CLOSING: Duration = Duration::from_secs(4);

/// All of it.
struct Listening {
    options: Listen,
    place: Place,
    pool: Pool,
    kids: Vec<Kid>,
    wire: Wire,
    lives: Lives,
    groups: Groups,
    ticks: Ticks,
    ear: Option<Ear>,
    captures: Vec<Capture>,
    outside: Option<Outside>,
    /// Until then nobody gets an event.
    rest_until: Moment,
    /// Since when we are to end, and the signal that was sent last.
    closing: Option<(Moment, Option<Signal>)>,
}

/// Runs listeners until we are told to end.
///
/// # Errors
/// They cannot be run.
pub fn run(options: Listen, place: Place) -> Result<(), String> {
    let failed = |error: io::Error| format!("can't hear signals: {}", sys::explain(&error));
    let (ears, mouth) = UnixStream::pair().map_err(failed)?;
    for signal in [SIGTERM, SIGINT] {
        pipe::register(signal, mouth.try_clone().map_err(failed)?).map_err(failed)?;
    }
    let wants = |name: &str| options.events.iter().any(|it| it.starts_with(name));
    let outside =
        if wants("REMOTE_COMMUNICATION") { open_outside(&options, &place)? } else { None };
    let has_ear = wants("PROCESS_LOG") || wants("PROCESS_COMMUNICATION");
    let mut all = Listening {
        pool: Pool::new(&options.name, options.pool, options.buffer),
        kids: (0..options.pool).map(|number| Kid::new(&options, number)).collect(),
        wire: Wire::new(place.clone()),
        lives: Lives::default(),
        groups: Groups::default(),
        ticks: Ticks::new(&options.events, seconds()),
        ear: has_ear.then(|| Ear::new(place.clone(), true)),
        captures: Vec::new(),
        outside,
        rest_until: Moment(0),
        closing: None,
        options,
        place,
    };
    let program = all.options.command.first().map(|it| it.to_string_lossy().into_owned());
    let program = program.unwrap_or_default();
    let now = sys::monotonic();
    for kid in &mut all.kids {
        kid.start(&all.options, now).map_err(|why| format!("{program}: {}", sys::explain(&why)))?;
    }
    while all.turn(&ears) {}
    Ok(())
}

fn open_outside(options: &Listen, place: &Place) -> Result<Option<Outside>, String> {
    let user = options.remote.as_deref().map(|name| {
        let known = User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
        known.or_else(|| name.parse().ok()).ok_or_else(|| format!("--remote {name}: no such user"))
    });
    let user = user.transpose()?;
    match Outside::open(place, user) {
        Ok(outside) => Ok(Some(outside)),
        Err(error) => {
            // The other events are worth as much as before.
            complain(&format!("there will be no REMOTE_COMMUNICATION: {}", sys::explain(&error)));
            Ok(None)
        }
    }
}

fn seconds() -> u64 {
    u64::try_from(sys::wall_seconds()).unwrap_or(0)
}

impl Listening {
    /// One turn; whether there will be another one.
    fn turn(&mut self, ears: &UnixStream) -> bool {
        let is_told = self.wait(ears);
        let now = sys::monotonic();
        if is_told && self.closing.is_none() {
            self.begin_closing(now);
        }
        for news in self.wire.hear(now) {
            self.take(&news);
        }
        self.look_for_groups();
        self.hear_logs();
        while let Some((kind, text)) = self.outside.as_ref().and_then(Outside::hear) {
            let mut payload = format!("type:{kind}\n").into_bytes();
            payload.extend_from_slice(&text);
            self.add("REMOTE_COMMUNICATION", payload);
        }
        for (name, when) in self.ticks.due(seconds()) {
            self.add(name, format!("when:{when}").into_bytes());
        }
        self.talk(now);
        if self.closing.is_some() {
            return !self.close(now);
        }
        for kid in &mut self.kids {
            if let Err(error) = kid.start(&self.options, now) {
                complain(&format!("can't start a listener: {}", sys::explain(&error)));
            }
        }
        true
    }

    /// Waits until there is something to do; whether we were told to end.
    fn wait(&self, ears: &UnixStream) -> bool {
        let now = sys::monotonic();
        let mut fds: Vec<(BorrowedFd<'_>, PollFlags)> = vec![(ears.as_fd(), PollFlags::POLLIN)];
        for kid in &self.kids {
            fds.extend(kid.ears().into_iter().map(|fd| (fd, PollFlags::POLLIN)));
            fds.extend(kid.mouth().map(|fd| (fd, PollFlags::POLLOUT)));
        }
        let doorbell = self.ear.as_ref().and_then(Ear::doorbell);
        let outside = self.outside.as_ref().map(Outside::as_fd);
        let others = self.wire.as_fd().into_iter().chain(doorbell).chain(outside);
        fds.extend(others.map(|fd| (fd, PollFlags::POLLIN)));
        let mut fds: Vec<PollFd> =
            fds.into_iter().map(|(fd, what)| PollFd::new(fd, what)).collect();
        let moments = self.kids.iter().filter_map(Kid::start_at).chain(self.wire.look_at());
        let moments = moments.chain((self.rest_until > now).then_some(self.rest_until));
        let closing = self.closing.map(|_| Duration::from_millis(100));
        let ear = self.ear.as_ref().and_then(Ear::patience);
        let waits = moments.map(|at| at.since(now)).chain(closing).chain(ear);
        let waits = waits.chain(self.groups.patience()).chain(self.ticks.patience(seconds()));
        let patience = waits.min().map_or(PollTimeout::NONE, |wait| {
            // Rounded up, or we would come a little too early and wait for nothing.
            let wait = wait.saturating_add(Duration::from_millis(1));
            PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
        });
        let _ = poll(&mut fds, patience);
        fds.first().is_some_and(|fd| fd.any() == Some(true))
    }

    /// Something happened that somebody may want.
    fn add(&mut self, name: &'static str, payload: Vec<u8>) {
        if !self.options.events.contains(&name) {
            return;
        }
        if let Some(lost) = self.pool.add(name, payload) {
            complain(&format!(
                "pool {} event buffer overflowed, discarding event {} ({})",
                self.options.name, lost.serial, lost.name
            ));
        }
    }

    fn take(&mut self, news: &News) {
        match news {
            News::Going(blocks) => {
                for block in blocks {
                    self.lives.note(block);
                    block.get("service").into_iter().for_each(|it| self.groups.note(it));
                }
                self.ear.iter_mut().for_each(Ear::ask_again);
                self.add("SUPERVISOR_STATE_CHANGE_RUNNING", Vec::new());
            }
            News::Event(message) => {
                if let Some(service) = self.groups.hear(message).map(str::to_owned) {
                    self.tell_group("PROCESS_GROUP_ADDED", &service);
                }
                for (name, text) in self.lives.hear(message) {
                    self.add(name, text.into_bytes());
                }
            }
        }
    }

    fn tell_group(&mut self, name: &'static str, service: &str) {
        self.add(name, format!("groupname:{service}\n").into_bytes());
        self.ear.iter_mut().for_each(Ear::ask_again);
    }

    fn look_for_groups(&mut self) {
        let (gone, new) = self.groups.ask(&self.place);
        for service in gone {
            self.tell_group("PROCESS_GROUP_REMOVED", &service);
        }
        for service in new {
            self.tell_group("PROCESS_GROUP_ADDED", &service);
        }
    }

    /// What services wrote, and what they said to listeners in it.
    fn hear_logs(&mut self) {
        let Some(mut ear) = self.ear.take() else { return };
        let mut said: Vec<(bool, &'static str, String, Vec<u8>)> = Vec::new();
        ear.turn(&mut |heard: &Heard<'_>| {
            let stream = if heard.source.is_stderr { "stderr" } else { "stdout" };
            let service = &heard.source.service;
            let pid = self.lives.pid(service);
            let head = format!("processname:{service} groupname:{service} pid:{pid}");
            while self.captures.len() <= heard.number {
                self.captures.push(Capture::default());
            }
            let capture = self.captures.get_mut(heard.number);
            for text in capture.map(|it| it.take(heard.text)).unwrap_or_default() {
                said.push((true, stream, format!("{head}\n"), text));
            }
            let head = format!("{head} channel:{stream}\n");
            // What was written together is told together.
            match said.last_mut() {
                Some((false, last, known, text)) if *known == head && *last == stream => {
                    text.extend_from_slice(heard.text);
                }
                _ => said.push((false, stream, head, heard.text.to_vec())),
            }
        });
        self.ear = Some(ear);
        for (is_said, stream, head, text) in said {
            let name = match (is_said, stream) {
                (true, "stderr") => "PROCESS_COMMUNICATION_STDERR",
                (true, _) => "PROCESS_COMMUNICATION_STDOUT",
                (false, "stderr") => "PROCESS_LOG_STDERR",
                (false, _) => "PROCESS_LOG_STDOUT",
            };
            let payload = [head.as_bytes(), &text].concat();
            self.add(name, payload);
        }
    }

    /// Hears listeners, and tells them what they wait for.
    fn talk(&mut self, now: Moment) {
        let is_closing = self.closing.is_some();
        for (number, kid) in self.kids.iter_mut().enumerate() {
            kid.say(b"");
            let said = kid.hear();
            match self.pool.hear(number, &said) {
                None => {}
                Some(pool::Heard::Rejected(event)) => {
                    complain(&format!("{event} was not taken, it is given again"));
                    self.rest_until = now.after(REST);
                }
                Some(pool::Heard::Nonsense) => {
                    let said = String::from_utf8_lossy(&said).chars().take(80).collect::<String>();
                    complain(&format!(
                        "a listener said {}, which it must not; it is ended",
                        show(&said)
                    ));
                    kid.signal(Signal::SIGTERM);
                }
            }
            if kid.reap(now, is_closing) {
                if let Some(event) = self.pool.leave(number) {
                    complain(&format!("{event} was not taken, it is given again"));
                }
            }
        }
        let is_ending = matches!(self.closing, Some((_, Some(_))));
        while now >= self.rest_until && !is_ending {
            let Some((number, text)) = self.pool.dispatch() else { break };
            self.kids.iter_mut().skip(number).take(1).for_each(|kid| kid.say(&text));
        }
    }

    /// Tells listeners that going ends, if that is why we do.
    fn begin_closing(&mut self, now: Moment) {
        self.closing = Some((now, None));
        let own = std::env::var("GOING_SERVICE").unwrap_or_default();
        let reply = client::ask(&self.place, &Request::new(Command::Status));
        let is_ending = reply.is_ok_and(|reply| {
            let is_other =
                |it: &&Message| ![Some(&*own), Some("going-log")].contains(&it.get("service"));
            let others: Vec<&Message> = reply.blocks.iter().filter(is_other).collect();
            let state = |it: &Message| Process::of(it.get("state").unwrap_or_default());
            let is_down = |it: &&Message| {
                !matches!(state(it), Process::Running | Process::Starting | Process::Backoff)
            };
            // Wanted, and not there: somebody stops all of them.
            let is_stopped = |it: &&Message| {
                it.get("want") == Some("up")
                    && matches!(state(it), Process::Stopping | Process::Stopped)
            };
            others.iter().all(is_down) && others.iter().any(is_stopped)
        });
        if is_ending {
            self.add("SUPERVISOR_STATE_CHANGE_STOPPING", Vec::new());
        }
    }

    /// Ends listeners when they have done what they have in hand; whether all ended.
    fn close(&mut self, now: Moment) -> bool {
        let Some((since, sent)) = self.closing else { return false };
        let span = now.since(since);
        let is_over = !self.kids.iter().any(Kid::is_alive);
        let next = match sent {
            _ if is_over => return true,
            None if self.pool.is_idle() || span >= CLOSING => Signal::SIGTERM,
            Some(Signal::SIGTERM) if span >= CLOSING.saturating_mul(2) => Signal::SIGKILL,
            _ => return false,
        };
        self.closing = Some((since, Some(next)));
        self.kids.iter().for_each(|kid| kid.signal(next));
        false
    }
}
