//! The pipes between services and going-log. Going only hands them over: it
//! never reads output, so that no amount of it can keep the loop from its work,
//! and it keeps each read end until going-log says that it has read all, so that
//! going-log may die at any time.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, sendmsg};
use nix::sys::stat::fstat;

use super::Daemon;
use super::logger::{self, Place};
use super::pipes::{Run, Which, needs_pipe};
use super::report::{Level, report};
use crate::config::{Full, Spec, Stream, Timestamps};
use crate::protocol::Message;
use crate::supervise::{Pid, Slot};
use crate::sys::is_passing;

/// Where going-log answers; clients and children have other numbers.
pub(super) const LOGGER: usize = super::server::LISTENER - 1;

/// What waits for going-log while it is away or slow, in bytes. Beyond it marks
/// are left out; the pipes themselves are never. Enough for the ends of a thousand
/// services at once.
const WAITING_MAX: usize = 512 * 1024;

/// A datagram from going-log is no longer than this; the rest of a longer report
/// is cut.
const ANSWER_MAX: usize = 1024;

/// Pipes are kept in a list which grows by so many: doubled, it would be half
/// empty, and with a thousand services that is a lot.
const PIPES_MORE: usize = 16;

/// So many words may wait without the list of them being kept for more.
const FEW: usize = 16;

/// All pipes, and the connection to their reader.
pub(super) struct Logs {
    pub(super) place: Place,
    connection: Option<OwnedFd>,
    pub(super) pipes: Vec<Pipe>,
    /// The names of services that were forgotten while their last words were not
    /// read, by pipe.
    pub(super) gone: Vec<(u32, Box<str>)>,
    /// What going-log is to be told, in this order.
    pub(super) waiting: VecDeque<Word>,
    waiting_bytes: usize,
}

/// The read end of a pipe that going-log has not read to its end.
pub(super) struct Pipe {
    pub(super) end: OwnedFd,
    /// The number of its inode, by which both of us know it; 32 bits, as the
    /// kernel counts pipes (get_next_ino() of fs/inode.c).
    pub(super) id: u32,
    /// Whose output it holds; nobody's if the service was forgotten.
    pub(super) slot: Option<Slot>,
    pub(super) which: Which,
}

/// Something to be said to going-log.
pub(super) enum Word {
    /// Here is this pipe; of a run that has just begun as this process, if any.
    Take(u32, Option<Pid>),
    /// A finished message.
    Text(Box<[u8]>),
}

impl Word {
    fn begun(&self) -> Option<(u32, Pid)> {
        match self {
            Word::Take(id, pid) => pid.map(|pid| (*id, pid)),
            Word::Text(_) => None,
        }
    }
}

impl Logs {
    pub(super) fn new(place: Place) -> Logs {
        Logs {
            place,
            connection: None,
            pipes: Vec::new(),
            gone: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// Takes a new connection: going-log is to have every pipe, again or for the
    /// first time, before it hears anything else.
    pub(super) fn connect(&mut self, connection: OwnedFd, registry: &Registry) -> io::Result<()> {
        self.disconnect(registry);
        let interest = Interest::READABLE.add(Interest::WRITABLE);
        registry.register(&mut SourceFd(&connection.as_raw_fd()), Token(LOGGER), interest)?;
        self.connection = Some(connection);
        // Of some it has not heard at all, not even that they have begun.
        let begun: Vec<_> = self.waiting.iter().filter_map(Word::begun).collect();
        self.waiting.retain(|word| matches!(word, Word::Text(_)));
        for pipe in self.pipes.iter().rev() {
            let pid = begun.iter().find(|(id, _)| *id == pipe.id).map(|(_, pid)| *pid);
            self.waiting.push_front(Word::Take(pipe.id, pid));
        }
        Ok(())
    }

    fn disconnect(&mut self, registry: &Registry) {
        if let Some(connection) = self.connection.take() {
            // By hand, as for the ears of children.
            let _ = registry.deregister(&mut SourceFd(&connection.as_raw_fd()));
        }
    }

    fn say(&mut self, message: &Message) {
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        if self.waiting_bytes.saturating_add(bytes.len()) > WAITING_MAX {
            return;
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(bytes.len());
        self.waiting.push_back(Word::Text(bytes.into()));
    }

    /// Whether going-log could be told something that it was not.
    pub(super) fn owes(&self) -> bool {
        self.connection.is_some() && !self.waiting.is_empty()
    }

    /// The pipe of a stream's latest run.
    pub(super) fn latest_id(&self, slot: Slot, which: Which) -> Option<u32> {
        let slot = Some(slot);
        let is_it = |pipe: &&Pipe| pipe.slot == slot && pipe.which == which;
        self.pipes.iter().rev().find(is_it).map(|pipe| pipe.id)
    }

    /// Takes a pipe that the going before us in this process left, unless it is there
    /// already. It is older than those of the services that run.
    pub(super) fn inherit(&mut self, end: OwnedFd, slot: Option<Slot>, name: &str, which: Which) {
        let id = fstat(&end).ok().and_then(|stat| u32::try_from(stat.st_ino).ok());
        let Some(id) = id.filter(|id| self.pipes.iter().all(|it| it.id != *id)) else { return };
        if slot.is_none() {
            self.gone.push((id, name.into()));
        }
        self.waiting.push_back(Word::Take(id, None));
        self.pipes.insert(0, Pipe { end, id, slot, which });
    }

    /// Lets going of the services which are no more; their last words stay.
    fn forget(&mut self, slot: Slot, name: &str) {
        let slot = Some(slot);
        for pipe in self.pipes.iter_mut().filter(|it| it.slot == slot) {
            pipe.slot = None;
            self.gone.push((pipe.id, name.into()));
        }
    }
}

impl Daemon {
    /// Whether going-log runs, or is about to: starts it at the first need.
    pub(super) fn need_logger(&mut self) {
        let Some(logs) = &self.logs else { return };
        if self.supervisor.find(logger::NAME).is_none() {
            let definition = logs.place.definition();
            self.supervisor.add(logger::NAME, definition, self.now);
        }
        if let Some(slot) = self.supervisor.find(logger::NAME) {
            self.supervisor.close_last(slot);
        }
    }

    /// What going-log gets beside its streams: the socket at which it hears of
    /// pipes, and its journal. We connect at once, for the kernel lets us before
    /// anybody accepts.
    ///
    /// # Errors
    /// What bind(2), connect(2) and open(2) say.
    pub(super) fn open_logger(&mut self) -> io::Result<[OwnedFd; 2]> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let logs = self.logs.as_mut().ok_or_else(missing)?;
        let (passed, connection) = logs.place.open()?;
        logs.connect(connection, self.poll.registry())?;
        Ok(passed)
    }

    /// Takes the pipes of what was just forked; of a run that has begun as this
    /// process, if it is one.
    pub(super) fn keep_pipes(&mut self, slot: Slot, run: Run, spec: &Spec, begun: Option<Pid>) {
        if let (Some(logs), Some(service)) = (&mut self.logs, self.supervisor.get(slot)) {
            if spec.log.truncate {
                logs.say(&clear(&service.name));
            }
        }
        self.take_pipes(slot, run, begun);
    }

    /// Takes pipes, and has going-log read those of output.
    pub(super) fn take_pipes(&mut self, slot: Slot, run: Run, begun: Option<Pid>) {
        if let Some(input) = run.input {
            self.inputs.retain(|(it, _)| *it != slot);
            self.inputs.push((slot, input));
        }
        let Some(logs) = &mut self.logs else { return };
        for (end, which) in run.outputs {
            let id = fstat(&end).ok().and_then(|stat| u32::try_from(stat.st_ino).ok());
            let Some(id) = id else { continue };
            logs.waiting.push_back(Word::Take(id, begun));
            if logs.pipes.len() == logs.pipes.capacity() {
                logs.pipes.reserve_exact(PIPES_MORE);
            }
            logs.pipes.push(Pipe { end, id, slot: Some(slot), which });
        }
    }

    /// Says in a service's log what became of it. Its pipe may have been read to
    /// the end by now, and then going-log is told once more what log that was.
    pub(super) fn mark(&mut self, slot: Slot, text: &str) {
        for which in [Which::Stdout, Which::Stderr] {
            let id = self.logs.as_ref().and_then(|logs| logs.latest_id(slot, which));
            let message = match id {
                Some(id) => {
                    let mut message = Message::new();
                    message.add("do", "mark");
                    message.add("id", &id.to_string());
                    Some(message)
                }
                None => self.describe_ended(slot, which),
            };
            if let (Some(mut message), Some(logs)) = (message, &mut self.logs) {
                message.add("text", text);
                logs.say(&message);
            }
        }
    }

    /// A mark for the log of a stream whose pipe is gone, if it has a log.
    fn describe_ended(&self, slot: Slot, which: Which) -> Option<Message> {
        let (service, spec) = (self.supervisor.get(slot)?, self.spec(slot)?);
        let stream = match which {
            Which::Stdout => &spec.stdout,
            Which::Stderr => &spec.stderr,
        };
        let is_logged = needs_pipe(stream, &spec.log);
        is_logged.then(|| describe("mark", 0, &service.name, which, &spec))
    }

    /// Has going-log keep the logs of a service as its new file says.
    pub(super) fn renew_log(&mut self, slot: Slot) {
        let Some(logs) = &mut self.logs else { return };
        let owner = Some(slot);
        let pipes = logs.pipes.iter().filter(|it| it.slot == owner);
        let ids: Vec<_> = pipes.map(|pipe| pipe.id).collect();
        for id in ids {
            let Some(message) = self.describe_pipe(id, "set") else { continue };
            if let Some(logs) = &mut self.logs {
                logs.say(&message);
            }
        }
    }

    /// Has going-log open its files again.
    pub(super) fn reopen_logs(&mut self) {
        self.reporter.reopen();
        let Some(logs) = &mut self.logs else { return };
        let mut message = Message::new();
        message.add("do", "reopen");
        logs.say(&message);
    }

    /// Has going-log empty the logs of a service. An event tells when it is done.
    pub(super) fn order_clear(&mut self, slot: Slot) -> (&'static str, &'static str) {
        let has_log =
            self.spec(slot).is_some_and(|it| it.stdout == Stream::Log || it.stderr == Stream::Log);
        match (&mut self.logs, self.supervisor.get(slot)) {
            (Some(logs), Some(service)) if has_log => {
                logs.say(&clear(&service.name));
                ("done", "")
            }
            _ => ("failed", "it has no log"),
        }
    }

    /// The file that a stream of a service is written to, if it is one.
    pub(super) fn log_file(&self, name: &str, stream: &Stream, which: Which) -> Option<String> {
        let stream_name = match which {
            Which::Stdout => "",
            // No name of a service has a plus in it.
            Which::Stderr => "+stderr",
        };
        match stream {
            Stream::Log => {
                let file = format!("{name}{stream_name}.log");
                let directory = &self.logs.as_ref()?.place.directory;
                Some(directory.join(file).to_string_lossy().into_owned())
            }
            Stream::File(path) => Some(path.clone()),
            Stream::Null | Stream::Inherit | Stream::Stdout | Stream::Syslog | Stream::Pipe => None,
        }
    }

    /// A service is no more.
    pub(super) fn forget_pipes(&mut self, slot: Slot) {
        self.inputs.retain(|(it, _)| *it != slot);
        let (Some(logs), Some(service)) = (&mut self.logs, self.supervisor.get(slot)) else {
            return;
        };
        logs.forget(slot, &service.name);
    }

    /// Hears going-log, and says what is to be said. Called in each turn.
    pub(super) fn talk_to_logger(&mut self) {
        if self.heard.contains(&LOGGER) {
            self.hear_logger();
        }
        while let Some(word) = self.logs.as_mut().and_then(|logs| logs.waiting.pop_front()) {
            let is_said = match &word {
                Word::Text(bytes) => self.send(bytes, None),
                Word::Take(id, pid) => match self.describe_pipe(*id, "take") {
                    Some(mut message) => {
                        if let Some(Pid(pid)) = pid {
                            message.add("text", &format!("started (pid {pid})"));
                        }
                        let mut bytes = Vec::new();
                        message.write(&mut bytes);
                        self.send(&bytes, Some(*id))
                    }
                    // Read to its end meanwhile.
                    None => true,
                },
            };
            let Some(logs) = &mut self.logs else { return };
            match (is_said, word) {
                (false, word) => {
                    logs.waiting.push_front(word);
                    return;
                }
                (true, Word::Text(bytes)) => {
                    logs.waiting_bytes = logs.waiting_bytes.saturating_sub(bytes.len());
                }
                (true, Word::Take(..)) => {}
            }
        }
        if let Some(logs) = &mut self.logs {
            // A thousand starts at once are rare; their space is given back.
            logs.waiting.shrink_to(FEW);
        }
    }

    /// Sends one datagram, with a pipe or without; false if it must wait.
    fn send(&self, bytes: &[u8], pipe: Option<u32>) -> bool {
        let Some(logs) = &self.logs else { return true };
        let Some(connection) = &logs.connection else { return false };
        let end = pipe.and_then(|id| logs.pipes.iter().find(|it| it.id == id));
        let ends: Vec<_> = end.iter().map(|pipe| pipe.end.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&ends)];
        let rights = if ends.is_empty() { &[][..] } else { &rights[..] };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let sent =
            sendmsg::<()>(connection.as_raw_fd(), &[IoSlice::new(bytes)], rights, flags, None);
        match sent {
            Ok(_) => true,
            // ETOOMANYREFS: more descriptors under way than we may have open
            // (unix(7)). Either ends when going-log reads, and the poll tells.
            Err(it) if it == Errno::ETOOMANYREFS || is_passing(&it.into()) => false,
            // It is dead; all pipes are sent to its successor.
            Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => false,
            // A message that the kernel never takes must not stop all others.
            Err(_) => true,
        }
    }

    /// What going-log must know of a pipe; `None` if there is none of that number.
    fn describe_pipe(&self, id: u32, word: &str) -> Option<Message> {
        let logs = self.logs.as_ref()?;
        let pipe = logs.pipes.iter().find(|it| it.id == id)?;
        let (name, spec) = match pipe.slot {
            Some(slot) => (&self.supervisor.get(slot)?.name, self.spec(slot)),
            None => (&logs.gone.iter().find(|it| it.0 == id)?.1, None),
        };
        let is_guess = spec.is_none();
        let spec = spec.unwrap_or_else(|| self.defaults.clone());
        let mut message = describe(word, id, name, pipe.which, &spec);
        if is_guess {
            // Taken up while its file cannot be used, or gone: what going-log knows of
            // it, if it does, is right.
            message.add("guess", "yes");
        }
        Some(message)
    }

    fn hear_logger(&mut self) {
        let mut buffer = [0; ANSWER_MAX];
        loop {
            let Some(connection) = self.logs.as_ref().and_then(|it| it.connection.as_ref()) else {
                return;
            };
            let received = recv(connection.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT);
            let length = match received {
                Err(Errno::EINTR) => continue,
                Err(errno) if is_passing(&errno.into()) => return,
                // It is gone: when it is reaped, another one is started.
                Ok(0) | Err(_) => {
                    if let Some(logs) = &mut self.logs {
                        logs.disconnect(self.poll.registry());
                    }
                    return;
                }
                Ok(length) => length,
            };
            let message = buffer.get(..length).and_then(|bytes| Message::parse(bytes).ok());
            if let Some(message) = message {
                self.obey_logger(&message);
            }
        }
    }

    fn obey_logger(&mut self, message: &Message) {
        if let (Some(id), Some(logs)) = (message.number("done"), &mut self.logs) {
            logs.pipes.retain(|pipe| u64::from(pipe.id) != id);
            logs.gone.retain(|(it, _)| u64::from(*it) != id);
        }
        if let Some(id) = message.number("lacking") {
            self.offer_later(id);
        }
        if let Some(text) = message.get("report") {
            let level = match message.get("level") {
                Some("error") => Level::Error,
                Some("info") => Level::Info,
                _ => Level::Warning,
            };
            report!(self.reporter, level, "{}: {text}", logger::NAME);
            // What this turn had to say was said before we listened.
            self.reporter.flush();
        }
        let Some(name) = message.get("name") else { return };
        if message.get("did") == Some("clear") {
            self.events_ring.log(self.now, name, "cleared", "");
        } else if message.get("failed") == Some("clear") {
            self.events_ring.log(self.now, name, "kept", message.get("why").unwrap_or(""));
        }
    }
}

fn clear(name: &str) -> Message {
    let mut message = Message::new();
    message.add("do", "clear");
    message.add("name", name);
    message
}

fn describe(word: &str, id: u32, name: &str, which: Which, spec: &Spec) -> Message {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let log = &spec.log;
    let (stream, word_of_it) = match which {
        Which::Stdout => (&spec.stdout, "stdout"),
        Which::Stderr => (&spec.stderr, "stderr"),
    };
    let to = match stream {
        Stream::Inherit => "console",
        Stream::Syslog => "syslog",
        // The file may say something else by now; what was logged still is.
        Stream::Log | Stream::Null | Stream::File(_) | Stream::Stdout | Stream::Pipe => "file",
    };
    let timestamps = match log.timestamps {
        Timestamps::Utc => "utc",
        Timestamps::Local => "local",
        Timestamps::No => "no",
    };
    let rate = match log.rate {
        Some(rate) => format!("{}/{}", rate.lines, rate.within.as_millis()),
        None => "unlimited".to_owned(),
    };
    let mut message = Message::new();
    for (key, value) in [
        ("do", word),
        ("id", &id.to_string()),
        ("name", name),
        ("stream", word_of_it),
        ("to", to),
        ("size", &log.size.to_string()),
        ("keep", &log.keep.to_string()),
        ("compress", yes(log.compress)),
        ("timestamps", timestamps),
        ("strip-ansi", yes(log.strip_ansi)),
        ("rate", &rate),
        ("full", if log.full == Full::Block { "block" } else { "drop" }),
    ] {
        message.add(key, value);
    }
    message
}
