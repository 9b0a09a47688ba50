//! Several logs shown as one: what was written, by time; then what is being
//! written, as it comes.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::later::Later;
use super::show::{self, Show};
use crate::client::Trouble;
use crate::client::log::choice::Choice;
use crate::client::log::follow::{Follower, Turn};
use crate::client::log::stream::{Next, Source, Stream};
use crate::client::log::{files, tail};
use crate::ctl::{Ending, Session, complain};

/// So many lines of one log are shown in a row while others may have some.
const FAIR: usize = 1000;

/// Logs that are shown together.
#[derive(Debug)]
pub struct Logs {
    streams: Vec<Stream>,
    choice: Choice,
    show: Show,
    follower: Option<Follower>,
    /// There may be more of them later.
    is_open: bool,
    /// In this turn.
    has_shown: bool,
    /// What went wrong so far.
    pub ending: Ending,
}

impl Logs {
    /// Opens logs. Those that cannot be are complained of and left out.
    pub fn open(
        session: &Session,
        sources: Vec<Source>,
        choice: Choice,
        is_followed: bool,
    ) -> Logs {
        let show = Show::new(session, &sources);
        raise_limit();
        let mut logs = Logs {
            streams: Vec::new(),
            choice: choice.clone(),
            show,
            follower: None,
            is_open: false,
            has_shown: false,
            ending: Ending::Done,
        };
        for source in sources {
            logs.add(source, &choice, is_followed);
        }
        logs
    }

    /// Opens one more.
    fn add(&mut self, source: Source, choice: &Choice, is_followed: bool) {
        let plan = match tail::plan(&source.path, choice) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(tail::Plan::default()),
            other => other,
        };
        let stream = match plan {
            Ok(plan) => {
                if plan.parts.is_empty() && !is_followed {
                    let path = source.path.display();
                    complain(&format!("{}: there is no {path} yet", show::label(&source)));
                }
                self.blame(plan.trouble);
                Stream::new(source, plan.parts)
            }
            Err(error) => {
                self.blame(Some(files::explain(&source.path, &error)));
                // In its place, so that the others keep theirs.
                Stream::dead(source)
            }
        };
        self.streams.push(stream);
    }

    /// Others may come while these are followed, so that names are shown even if
    /// there is one log now.
    pub fn expect_more(&mut self) {
        self.is_open = true;
        self.show.name_all(self.streams.iter().map(|it| &it.source));
    }

    fn blame(&mut self, trouble: Option<String>) {
        if let Some(trouble) = trouble {
            complain(&trouble);
            self.ending = Ending::Failed;
        }
    }

    /// Shows what was written until now: by time, where lines have one.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn history(&mut self, is_followed: bool) -> Result<(), Trouble> {
        let mut times: Vec<Option<u64>> = Vec::new();
        for number in 0..self.streams.len() {
            times.push(self.read(number));
        }
        let earliest = |times: &[Option<u64>]| {
            let known =
                times.iter().enumerate().filter_map(|(number, time)| Some(((*time)?, number)));
            known.min().map(|(_, number)| number)
        };
        while let Some(number) = earliest(&times) {
            if let Some(stream) = self.streams.get_mut(number) {
                self.show.line(number, &stream.source, stream.line())?;
                stream.clear();
            }
            let next = self.read(number);
            if let Some(time) = times.get_mut(number) {
                *time = next;
            }
        }
        for (number, stream) in self.streams.iter_mut().enumerate() {
            // Of a line that is not complete the rest may follow.
            if !is_followed && stream.has_rest(&self.choice) {
                self.show.line(number, &stream.source, stream.line())?;
            }
        }
        self.show.flush()
    }

    /// Reads the next line of a log: its time, if there is one. Nothing is older
    /// than a line whose time is not known.
    fn read(&mut self, number: usize) -> Option<u64> {
        loop {
            let stream = self.streams.get_mut(number)?;
            match stream.next(&self.choice) {
                Ok(Next::Line) => return Some(stream.time().unwrap_or(0)),
                Ok(Next::End) => return None,
                Err(error) => {
                    let trouble = stream.explain(&error);
                    stream.leave();
                    self.blame(Some(trouble));
                }
            }
        }
    }

    /// Shows what is written from now on, for ever.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn follow(&mut self, mut later: Option<Later>) -> Result<Ending, Trouble> {
        while self.is_alive() {
            self.turn()?;
            self.wait(&[], later.as_ref().and_then(Later::patience))?;
            if let Some(later) = &mut later {
                self.welcome(later);
            }
        }
        Ok(Ending::Failed)
    }

    /// Adds the logs that came since we looked last.
    fn welcome(&mut self, later: &mut Later) {
        let has_news = self.follower.as_mut().is_some_and(Follower::has_news);
        let found = later.find(has_news).into_iter();
        let is_known = |it: &Source| self.streams.iter().any(|one| one.source.path == it.path);
        let new: Vec<_> = found.filter(|it| !is_known(it)).collect();
        if new.is_empty() {
            return;
        }
        for source in new {
            let choice = later.choice(&source);
            self.add(source, &choice, true);
            if let (Some(follower), Some(stream)) = (&mut self.follower, self.streams.last()) {
                follower.add(stream);
            }
        }
        self.show.name_all(self.streams.iter().map(|it| &it.source));
    }

    /// Whether any of them can be read.
    pub fn is_alive(&self) -> bool {
        self.streams.iter().any(Stream::is_alive)
    }

    /// Shows what there is by now; whether that was anything.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn turn(&mut self) -> Result<bool, Trouble> {
        // What comes now is wanted by its place, whatever its time.
        self.choice = Choice { since: None, ..std::mem::take(&mut self.choice) };
        let mut follower = self.follower.take().unwrap_or_else(|| {
            let mut follower = Follower::new(&self.streams);
            if self.is_open {
                follower.seek_news(&self.streams);
            }
            follower
        });
        let mut result = Ok(());
        self.has_shown = false;
        for number in 0..self.streams.len() {
            if result.is_ok() && follower.is_dirty(number) {
                result = self.turn_one(number, &mut follower);
            }
        }
        self.follower = Some(follower);
        result.and_then(|()| self.show.flush())?;
        Ok(self.has_shown)
    }

    fn turn_one(&mut self, number: usize, follower: &mut Follower) -> Result<(), Trouble> {
        let Some(stream) = self.streams.get_mut(number) else { return Ok(()) };
        let mut trouble = None;
        let mut count = 0;
        // Before anything is read that stands where something else stood.
        if stream.rewind().unwrap_or(false) {
            remark(Turn::Emptied, stream);
        }
        while stream.is_alive() {
            match stream.next(&self.choice) {
                Ok(Next::Line) if count < FAIR => {
                    self.show.line(number, &stream.source, stream.line())?;
                    self.has_shown = true;
                    stream.clear();
                    count += 1;
                }
                Ok(Next::Line) => {
                    // The others first; this one goes on in the next turn.
                    self.show.line(number, &stream.source, stream.line())?;
                    self.has_shown = true;
                    stream.clear();
                    follower.mark(number);
                    return Ok(());
                }
                Ok(Next::End) => match follower.advance(number, stream) {
                    Ok(Turn::Rest) => break,
                    Ok(turn) => remark(turn, stream),
                    Err(error) => {
                        trouble = Some(stream.explain(&error));
                        stream.kill();
                    }
                },
                Err(error) => {
                    trouble = Some(stream.explain(&error));
                    stream.leave();
                }
            }
        }
        if self.show.takes_pieces() && self.choice.pattern.is_none() {
            let length = self.show.piece(stream.line())?;
            stream.clear_piece(length);
        }
        self.blame(trouble);
        Ok(())
    }

    /// Waits until there is more, the time is over, or one of the others is ready:
    /// whether each of them is. That nobody listens any more is a reason to end, though there be
    /// nothing to say.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn wait(
        &mut self,
        others: &[BorrowedFd<'_>],
        limit: Option<Duration>,
    ) -> Result<Vec<bool>, Trouble> {
        let out = io::stdout();
        let mut ready = Vec::new();
        if let Some(follower) = &mut self.follower {
            let patience = [follower.patience(), limit].into_iter().flatten().min();
            let patience = patience.map(PollTimeout::try_from);
            let patience = patience.map_or(PollTimeout::NONE, |it| it.unwrap_or(PollTimeout::MAX));
            let mut fds = vec![PollFd::new(out.as_fd(), PollFlags::empty())];
            fds.extend(others.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)));
            fds.extend(follower.doorbell().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut fds, patience) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Trouble::Failed(format!("can't wait: {}", errno.desc()))),
            }
            if fds.first().is_some_and(|fd| show::is_unheard(fd.revents())) {
                return Err(Trouble::Unheard);
            }
            ready =
                fds.iter().skip(1).take(others.len()).map(|it| it.any() == Some(true)).collect();
            drop(fds);
            follower.hear(&self.streams);
        }
        Ok(ready)
    }

    /// Ends a line that is not complete, so that something else can be said.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn end_line(&mut self) -> Result<(), Trouble> {
        self.show.end_line()
    }
}

/// Lets us have as many descriptors as we may, for there may be many logs.
fn raise_limit() {
    let limit = getrlimit(Resource::RLIMIT_NOFILE);
    // What the limit is too low for will say so.
    let _ = limit.and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
}

/// Tells what happened to a log, other than that somebody wrote to it.
fn remark(turn: Turn, stream: &Stream) {
    let path = stream.source.path.display();
    match turn {
        Turn::Rest | Turn::More => {}
        Turn::Emptied => complain(&format!("{path} was emptied")),
        Turn::Lost => complain(&format!(
            "what was read of {path} last is there no more; lines may be missing"
        )),
    }
}
