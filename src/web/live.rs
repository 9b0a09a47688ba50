//! Answers without an end: events, and logs as they are written. Each takes a
//! thread, so there are only so many.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use super::Web;
use super::guests::Who;
use super::http::{Endless, Response};
use super::server::Patient;
use crate::client::log::follow::{Follower, Turn};
use crate::client::log::stream::{Next, Stream};
use crate::client::log::{Choice, Source, tail};
use crate::client::{Client, Trouble, json};
use crate::protocol::{Command, Request};

/// Of all connections, so many can be without an end.
pub const FOLLOWERS_MAX: usize = 512;

/// Fronts close what is silent for a minute.
const STILL_HERE: Duration = Duration::from_secs(15);

/// For one piece of an answer.
const SENDING: Duration = Duration::from_secs(30);

/// Lines before those that are written from now on.
const BEFORE: u64 = 100;

/// The type of events.
pub const EVENTS: &str = "text/event-stream; charset=utf-8";

/// An answer without an end.
#[derive(Debug)]
pub enum Live {
    /// What happens, after the event of this number.
    Events(Option<u64>),
    /// What is written to logs, as events.
    Log(Vec<Source>),
    /// What is written to logs, as it is.
    Tail(Vec<Source>),
    /// What going reports, as lines for people.
    Report,
}

impl Live {
    /// Events, as a browser follows them.
    pub fn events(since: Option<u64>) -> Live {
        Live::Events(since)
    }

    /// The lines of logs, as a browser follows them.
    pub fn log(sources: Vec<Source>) -> Live {
        Live::Log(sources)
    }

    /// The text of logs.
    pub fn tail(sources: Vec<Source>) -> Live {
        Live::Tail(sources)
    }

    /// What happens, as lines.
    pub fn report() -> Live {
        Live::Report
    }

    /// Answers until the other side is gone.
    ///
    /// # Errors
    /// It is gone, or too slow.
    pub fn run(
        self,
        web: &Web,
        stream: &mut Patient,
        who: Who,
        has_chunks: bool,
    ) -> io::Result<()> {
        let _place = match web.followers.come(who) {
            Some(place) => place,
            None => {
                let full = Response::text(503, "too many people follow").with("Retry-After", "30");
                return full.write(stream, true, false);
            }
        };
        match self {
            Live::Events(since) => happenings(web, stream, has_chunks, since, &event),
            Live::Report => happenings(web, stream, has_chunks, Some(0), &sentence),
            Live::Log(sources) => lines(stream, has_chunks, sources, true),
            Live::Tail(sources) => lines(stream, has_chunks, sources, false),
        }
    }
}

/// Waits until one of these can be read, or for so long.
fn sleep(fds: &[BorrowedFd<'_>], time: Duration) {
    let mut fds: Vec<PollFd> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    let _ = poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
}

/// One event, as a browser takes it.
fn event(message: &crate::protocol::Message) -> String {
    let data = Value::from(json::object(message));
    let id = message.get("serial").map(|it| format!("id: {it}\n")).unwrap_or_default();
    format!("{id}data: {data}\n\n")
}

/// One event, as people read it.
fn sentence(message: &crate::protocol::Message) -> String {
    let get = |key| message.get(key).unwrap_or_default();
    match (message.get("was"), message.get("state")) {
        (Some(was), Some(state)) => format!("{}: {was} -> {state}\n", get("service")),
        _ => format!("{}: {} {}\n", get("service"), get("event"), get("message")),
    }
}

/// Tells what happens. When going is gone, so are we: the browser comes again.
fn happenings(
    web: &Web,
    stream: &mut Patient,
    has_chunks: bool,
    since: Option<u64>,
    show: &impl Fn(&crate::protocol::Message) -> String,
) -> io::Result<()> {
    let gone = |trouble: Trouble| io::Error::new(ErrorKind::NotConnected, format!("{trouble:?}"));
    let mut client = match Client::connect(&web.place) {
        Ok(client) => client,
        Err(trouble) => {
            let why = trouble.sentence().unwrap_or("no going");
            return Response::text(503, why).write(stream, true, false);
        }
    };
    client.send(&Request { since, follow: true, ..Request::new(Command::Events) }).map_err(gone)?;
    stream.hurry(SENDING);
    let mut out = Endless::begin(stream, EVENTS, has_chunks)?;
    out.send(b"retry: 2000\n: hello\n\n")?;
    loop {
        let mut text = String::new();
        while let Some(message) = client.next(Duration::from_millis(1)).map_err(gone)? {
            if message.get("result").is_some() {
                return out.end();
            }
            text.push_str(&show(&message));
        }
        let peer = out.stream();
        if peer.is_done() {
            return Ok(());
        }
        peer.hurry(SENDING);
        out.send(text.as_bytes())?;
        let is_quiet = text.is_empty();
        if is_quiet {
            out.send(b":\n\n")?;
        }
        sleep(&[client.as_fd(), out.stream().as_fd()], STILL_HERE);
    }
}

/// Tells what is written to logs.
fn lines(
    stream: &mut Patient,
    has_chunks: bool,
    sources: Vec<Source>,
    is_event: bool,
) -> io::Result<()> {
    let choice = Choice { lines: Some(BEFORE), ..Choice::default() };
    let mut streams = Vec::new();
    for source in sources {
        let parts = tail::plan(&source.path, &choice).map(|plan| plan.parts).unwrap_or_default();
        streams.push(Stream::new(source, parts));
    }
    let mut follower = Follower::new(&streams);
    stream.hurry(SENDING);
    let kind = if is_event { EVENTS } else { "text/plain; charset=utf-8" };
    let mut out = Endless::begin(stream, kind, has_chunks)?;
    loop {
        let mut text = Vec::new();
        for (number, stream) in streams.iter_mut().enumerate() {
            if follower.is_dirty(number) {
                read_on(&mut follower, number, stream, is_event, &mut text);
            }
        }
        let peer = out.stream();
        if peer.is_done() {
            return Ok(());
        }
        peer.hurry(SENDING);
        if text.is_empty() && is_event {
            text.extend_from_slice(b":\n\n");
        }
        out.send(&text)?;
        let patience = follower.patience().unwrap_or(STILL_HERE).min(STILL_HERE);
        let doorbell = follower.doorbell();
        let fds: Vec<_> = doorbell.into_iter().chain([out.stream().as_fd()]).collect();
        sleep(&fds, patience);
        follower.hear(&streams);
    }
}

/// In bytes. More at once would keep the other logs waiting.
const PIECE: usize = 64 * 1024;

fn read_on(
    follower: &mut Follower,
    number: usize,
    stream: &mut Stream,
    is_event: bool,
    text: &mut Vec<u8>,
) {
    let choice = Choice::default();
    while stream.is_alive() {
        match stream.next(&choice) {
            Ok(Next::Line) => {
                if is_event {
                    let line = stream.line().strip_suffix(b"\n").unwrap_or(stream.line());
                    let line = Value::from(String::from_utf8_lossy(line));
                    text.extend_from_slice(format!("data: {line}\n\n").as_bytes());
                } else {
                    text.extend_from_slice(stream.line());
                }
                stream.clear();
                if text.len() > PIECE {
                    follower.mark(number);
                    return;
                }
            }
            Ok(Next::End) => match follower.advance(number, stream) {
                Ok(Turn::Rest) => return,
                Ok(_) => {}
                Err(_) => return stream.kill(),
            },
            Err(_) => stream.leave(),
        }
    }
}
