//! Hears what services write, out of their logs: whoever writes those is not asked,
//! and not slowed. Our own log is not among them, for what we say of it would be heard
//! again.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::BorrowedFd;
use std::time::{Duration, UNIX_EPOCH};

use crate::client::log::follow::{Follower, Turn};
use crate::client::log::moment::stamp;
use crate::client::log::stream::{Next, Stream};
use crate::client::log::{Choice, Source, Wanted, of, tail};
use crate::client::{self, Place};
use crate::protocol::{Command, Message, Request};
use crate::supervise::Moment;
use crate::sys;

/// Services are asked for no more often than this, however many come.
const PAUSE: Duration = Duration::from_millis(300);

/// In bytes. More at once would keep the other logs waiting.
const PIECE: usize = 64 * 1024;

/// The times of files lag behind by a tick of the kernel, some milliseconds.
const TICK: u64 = 50;

/// What was written, as the service wrote it.
#[derive(Debug)]
pub struct Heard<'a> {
    /// Whose it is.
    pub source: &'a Source,
    /// The number of its log.
    pub number: usize,
    /// A line with its end; or a part of one, for those who want parts.
    pub text: &'a [u8],
    /// The tags of the service.
    pub tags: &'a [String],
}

/// How a log is read.
#[derive(Debug)]
struct Manner {
    /// Each of its lines begins with a time, which is not the service's.
    has_stamps: bool,
    /// The line that comes next has begun already.
    is_amid: bool,
    tags: Vec<String>,
}

/// All logs.
#[derive(Debug)]
pub struct Ear {
    place: Place,
    streams: Vec<Stream>,
    manners: Vec<Manner>,
    follower: Option<Follower>,
    /// Lines are told before they are complete.
    takes_parts: bool,
    /// In milliseconds since 1970.
    begun_at: u64,
    /// When services were asked for; nothing if that is due now.
    asked_at: Option<Moment>,
    is_due: bool,
}

impl Ear {
    /// Of this going.
    pub fn new(place: Place, takes_parts: bool) -> Ear {
        Ear {
            place,
            streams: Vec::new(),
            manners: Vec::new(),
            follower: None,
            takes_parts,
            begun_at: millis().saturating_sub(TICK),
            asked_at: None,
            is_due: true,
        }
    }

    /// There may be services that were not there before.
    pub fn ask_again(&mut self) {
        self.is_due = true;
    }

    /// Whether it hears this service.
    pub fn knows(&self, service: &str) -> bool {
        self.streams.iter().any(|stream| stream.source.service == service)
    }

    /// What to poll.
    pub fn doorbell(&self) -> Option<BorrowedFd<'_>> {
        self.follower.as_ref().and_then(Follower::doorbell)
    }

    /// Whether there is more to hear at once.
    pub fn has_more(&self) -> bool {
        self.follower.as_ref().and_then(Follower::patience) == Some(Duration::ZERO)
    }

    /// How long to wait at most.
    pub fn patience(&self) -> Option<Duration> {
        let due = self.is_due.then(|| match self.asked_at {
            Some(at) => PAUSE.saturating_sub(sys::monotonic().since(at)),
            None => Duration::ZERO,
        });
        let blind = self.follower.as_ref().and_then(Follower::patience);
        due.into_iter().chain(blind).min()
    }

    /// Hears what was written until now.
    pub fn turn(&mut self, take: &mut dyn FnMut(&Heard<'_>)) {
        if let Some(follower) = &mut self.follower {
            follower.hear(&self.streams);
            self.is_due |= follower.has_news();
        }
        if self.is_due && self.is_time() {
            self.look();
        }
        let Some(follower) = &mut self.follower else { return };
        let logs = self.streams.iter_mut().zip(&mut self.manners);
        for (number, (stream, manner)) in logs.enumerate() {
            if follower.is_dirty(number) {
                manner.read(number, stream, follower, self.takes_parts, take);
            }
        }
    }

    fn is_time(&self) -> bool {
        self.asked_at.is_none_or(|at| sys::monotonic().since(at) >= PAUSE)
    }

    /// Looks which logs there are.
    fn look(&mut self) {
        let is_first = self.follower.is_none();
        let Ok(reply) = client::ask(&self.place, &Request::new(Command::Status)) else {
            // Whoever comes back is asked then.
            self.asked_at = Some(sys::monotonic());
            return;
        };
        (self.is_due, self.asked_at) = (false, Some(sys::monotonic()));
        let tags = |block: &Message| block.all("tag").map(str::to_owned).collect::<Vec<_>>();
        let mut new: Vec<(Source, Vec<String>)> = Vec::new();
        for block in &reply.blocks {
            let service = block.get("service");
            for (stream, manner) in self.streams.iter().zip(&mut self.manners) {
                if Some(&*stream.source.service) == service {
                    manner.tags = tags(block);
                }
            }
            let sources = of(block, Wanted::Both).unwrap_or_default().into_iter();
            new.extend(sources.filter(|it| self.is_new(it)).map(|it| (it, tags(block))));
        }
        if new.is_empty() && !is_first {
            return;
        }
        let plain = self.plain(&new);
        for (source, tags) in new {
            let choice = self.choice(&source, is_first);
            let has_stamps = !plain.contains(&source.service);
            let stream = match tail::plan(&source.path, &choice) {
                Ok(plan) => Stream::new(source, plan.parts),
                Err(error) if error.kind() == ErrorKind::NotFound => Stream::new(source, vec![]),
                Err(_) => Stream::dead(source),
            };
            if let Some(follower) = &mut self.follower {
                follower.add(&stream);
            }
            self.streams.push(stream);
            self.manners.push(Manner { has_stamps, is_amid: false, tags });
        }
        if is_first {
            let mut follower = Follower::new(&self.streams);
            follower.seek_news(&self.streams);
            self.follower = Some(follower);
        }
    }

    fn is_new(&self, source: &Source) -> bool {
        let own = std::env::var("GOING_SERVICE").unwrap_or_default();
        source.service != own
            && source.service != "going-log"
            && self.streams.iter().all(|known| known.source.path != source.path)
    }

    /// Which of these services have no times in their logs.
    fn plain(&self, sources: &[(Source, Vec<String>)]) -> BTreeSet<String> {
        let names: BTreeSet<String> = sources.iter().map(|it| it.0.service.clone()).collect();
        if names.is_empty() {
            return names;
        }
        let request = Request { names: names.into_iter().collect(), ..Request::new(Command::Why) };
        let blocks = client::ask(&self.place, &request).map(|reply| reply.blocks);
        let has_none = |block: &Message| block.all("policy").any(|it| it == "log-timestamps=no");
        let blocks = blocks.unwrap_or_default().into_iter().filter(has_none);
        blocks.filter_map(|block| block.get("service").map(str::to_owned)).collect()
    }

    /// Which lines of a log are heard: those that are written from now on, or since we
    /// began if it is found later.
    fn choice(&self, source: &Source, is_first: bool) -> Choice {
        let made = fs::metadata(&source.path).and_then(|stat| stat.created()).ok();
        let made = made.and_then(|it| it.duration_since(UNIX_EPOCH).ok());
        let is_old = made.is_none_or(|it| it.as_millis() < u128::from(self.begun_at));
        if is_first || is_old {
            return Choice { lines: Some(0), ..Choice::default() };
        }
        Choice { since: Some(self.begun_at), ..Choice::default() }
    }
}

impl Manner {
    fn read(
        &mut self,
        number: usize,
        stream: &mut Stream,
        follower: &mut Follower,
        takes_parts: bool,
        take: &mut dyn FnMut(&Heard<'_>),
    ) {
        let choice = Choice::default();
        let mut length = 0;
        // Before anything is read that stands where something else stood.
        let _ = stream.rewind();
        while stream.is_alive() {
            match stream.next(&choice) {
                Ok(Next::Line) => {
                    length += stream.line().len();
                    self.tell(number, stream, true, take);
                    stream.clear();
                    if length > PIECE {
                        follower.mark(number);
                        return;
                    }
                }
                Ok(Next::End) => match follower.advance(number, stream) {
                    Ok(Turn::Rest) => break,
                    Ok(_) => {}
                    Err(_) => stream.kill(),
                },
                Err(_) => stream.leave(),
            }
        }
        if takes_parts && self.tell(number, stream, false, take) {
            stream.clear_piece(stream.line().len());
        }
    }

    /// Tells what was read, without what going-log put there; whether it could.
    fn tell(
        &mut self,
        number: usize,
        stream: &Stream,
        is_whole: bool,
        take: &mut dyn FnMut(&Heard<'_>),
    ) -> bool {
        let line = stream.line();
        if line.is_empty() {
            return false;
        }
        let is_begun = self.is_amid;
        let time = if is_begun { None } else { stamp(line) };
        // The time at its beginning may not be complete.
        if self.has_stamps && !is_begun && time.is_none() && !is_whole {
            return false;
        }
        let length = time.map_or(0, |(_, length)| length);
        let rest = line.get(length..).unwrap_or_default();
        let is_note = length > 0 && rest.starts_with(b"--- ");
        let text = if self.has_stamps { rest } else { line };
        if !is_note && !text.is_empty() {
            take(&Heard { source: &stream.source, number, text, tags: &self.tags });
        }
        self.is_amid = !line.ends_with(b"\n");
        true
    }
}

/// Milliseconds since 1970.
pub fn millis() -> u64 {
    u64::try_from(sys::wall_seconds()).unwrap_or(0).saturating_mul(1000)
}
