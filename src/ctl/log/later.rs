//! Services that come while we follow: a tag, a pattern or a template means them
//! as well. The kernel tells when somebody opens a log that we do not know, and
//! then we ask once more which ones are meant.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use clap::ArgMatches;

use super::sources;
use crate::client::log::choice::Choice;
use crate::client::log::moment::stamp;
use crate::client::log::{Source, chosen_lines};
use crate::ctl::{Session, events, options};
use crate::protocol::pattern::is_pattern;
use crate::supervise::Moment;
use crate::sys;

/// Not asked more often than this, however many logs are opened.
const PAUSE: Duration = Duration::from_millis(300);

/// The times of files lag behind by a tick of the kernel, some milliseconds.
const TICK: u64 = 50;

/// What to look for.
pub struct Later<'a> {
    session: &'a Session,
    matches: &'a ArgMatches,
    /// What was asked for at first.
    choice: Choice,
    /// When that was, in milliseconds since 1970.
    begun_at: u64,
    asked_at: Moment,
    is_due: bool,
}

impl Later<'_> {
    /// Nothing if the names on the command line mean what is there, once for all.
    pub fn new<'a>(
        session: &'a Session,
        matches: &'a ArgMatches,
        choice: &Choice,
    ) -> Option<Later<'a>> {
        let names = options::texts(matches, "name");
        let means_more =
            |name: &String| is_pattern(name) || name.starts_with('@') || name.ends_with('@');
        let (begun_at, asked_at) = (events::now().saturating_sub(TICK), sys::monotonic());
        let (choice, is_due) = (choice.clone(), false);
        names.iter().any(means_more).then_some(Later {
            session,
            matches,
            choice,
            begun_at,
            asked_at,
            is_due,
        })
    }

    /// How long to wait at most.
    pub fn patience(&self) -> Option<Duration> {
        self.is_due.then(|| PAUSE.saturating_sub(sys::monotonic().since(self.asked_at)))
    }

    /// All logs that are meant, if it is time to ask.
    pub fn find(&mut self, has_news: bool) -> Vec<Source> {
        self.is_due |= has_news;
        if self.patience() != Some(Duration::ZERO) {
            return Vec::new();
        }
        (self.is_due, self.asked_at) = (false, sys::monotonic());
        // Without an answer it stays as it is; whoever comes back opens its log.
        sources::find_again(self.session, self.matches).unwrap_or_default()
    }

    /// Which lines of a log that came later are shown: those which were written
    /// since we began. Where no time tells, of what was there before as much as is
    /// shown of any other.
    pub fn choice(&self, source: &Source) -> Choice {
        let made = fs::metadata(&source.path).and_then(|stat| stat.created()).ok();
        let made = made.and_then(|it| it.duration_since(UNIX_EPOCH).ok());
        let is_old = made.is_some_and(|it| it.as_millis() < u128::from(self.begun_at));
        let is_timed = || {
            let last = Choice { lines: Some(1), ..Choice::default() };
            let last = chosen_lines(vec![source.clone()], &last).unwrap_or_default();
            last.first().is_some_and(|line| stamp(line).is_some())
        };
        let lines = if is_old && !is_timed() { self.choice.lines } else { None };
        Choice { lines, since: Some(self.begun_at), ..self.choice.clone() }
    }
}
