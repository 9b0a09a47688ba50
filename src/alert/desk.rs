//! Where the messages of one target are sent from: a thread of its own, for a peer
//! may keep it waiting. What it has to do is in the spool, and nowhere else.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, Thread};
use std::time::Duration;

use super::deliver::{Failure, deliver};
use super::event::Alert;
use super::settings::Settings;
use super::spool::Spool;
use super::start::complain;
use crate::config::words::show_duration;
use crate::supervise::Moment;
use crate::sys;

/// More go with the next message.
const BATCH: usize = 100;

/// So long after the first failure, and twice as long after each other one.
const RETRY: Duration = Duration::from_secs(1);
/// So long at most.
const RETRY_MAX: Duration = Duration::from_secs(300);

/// The clock of people may be set meanwhile.
const LOOK: Duration = Duration::from_secs(60);

/// What there was to do.
enum Turn {
    /// Something, and there may be more.
    Done,
    /// Nothing.
    Empty,
    /// Something, but not yet.
    Early(Duration),
}

/// What a thread and those who give it work share.
#[derive(Debug)]
struct Desk {
    name: String,
    spool: Spool,
    /// Nothing while the file is gone or cannot be used.
    settings: Mutex<Option<Arc<Settings>>>,
    /// Why the last try was in vain, if it was.
    trouble: Mutex<Option<String>>,
}

/// The hand by which others ring.
#[derive(Debug)]
pub struct Bell {
    desk: Arc<Desk>,
    thread: Thread,
}

/// Opens one.
///
/// # Errors
/// There is no room for a thread.
pub fn open(root: PathBuf, name: &str) -> std::io::Result<Bell> {
    let desk = Arc::new(Desk {
        name: name.to_owned(),
        spool: Spool::new(&root, name),
        settings: Mutex::new(None),
        trouble: Mutex::new(None),
    });
    let own = Arc::clone(&desk);
    let thread = Builder::new().name(name.chars().take(15).collect()).spawn(move || own.work())?;
    Ok(Bell { desk, thread: thread.thread().clone() })
}

impl Bell {
    /// The name of the target.
    pub fn name(&self) -> &str {
        &self.desk.name
    }

    /// Its messages.
    pub fn spool(&self) -> &Spool {
        &self.desk.spool
    }

    /// Why the last try was in vain, if it was.
    pub fn trouble(&self) -> Option<String> {
        self.desk.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on it goes by these, or rests.
    pub fn change(&self, settings: Option<Settings>) {
        let mut place = self.desk.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if place.as_deref() != settings.as_ref() {
            *place = settings.map(Arc::new);
            drop(place);
            self.ring();
        }
    }

    /// There is something to do.
    pub fn ring(&self) {
        self.thread.unpark();
    }
}

impl Desk {
    fn settings(&self) -> Option<Arc<Settings>> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn blame(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn work(&self) {
        let mut tries: u32 = 0;
        loop {
            let Some(settings) = self.settings() else {
                thread::park();
                continue;
            };
            match self.turn(&settings) {
                Ok(turn) => {
                    tries = 0;
                    if !matches!(turn, Turn::Early(_)) {
                        self.blame(None);
                    }
                    match turn {
                        Turn::Done => {}
                        Turn::Empty => thread::park(),
                        Turn::Early(wait) => thread::park_timeout(wait),
                    }
                }
                Err(why) => {
                    let wait = RETRY.saturating_mul(1_u32.wrapping_shl(tries.min(16)));
                    let wait = wait.min(RETRY_MAX);
                    tries = tries.saturating_add(1);
                    let next = show_duration(wait);
                    self.blame(Some(why.clone()));
                    complain(&format!("{}: not sent: {why}; next try in {next}", self.name));
                    self.rest(&settings, sys::monotonic().after(wait));
                }
            }
        }
    }

    /// Waits until then, or until there is reason to hope.
    fn rest(&self, settings: &Arc<Settings>, until: Moment) {
        loop {
            let now = sys::monotonic();
            let is_same = self.settings().is_some_and(|it| Arc::ptr_eq(&it, settings));
            if now >= until || !is_same {
                return;
            }
            thread::park_timeout(until.since(now));
        }
    }

    /// Sends what waits, if it is time.
    fn turn(&self, settings: &Settings) -> Result<Turn, String> {
        let failed = |error: std::io::Error| format!("the spool: {}", sys::explain(&error));
        let names = self.spool.list().map_err(failed)?;
        let count = if settings.is_single() { 1 } else { BATCH };
        let mut alerts: Vec<Alert> = Vec::new();
        for name in names.into_iter().take(count) {
            match self.spool.read(&name) {
                Some(alert) => alerts.push(alert),
                None => {
                    complain(&format!("{}: {name} cannot be read, set aside", self.name));
                    self.spool.set_aside(&name).map_err(failed)?;
                }
            }
        }
        if alerts.is_empty() {
            let is_empty = self.spool.list().map_err(failed)?.is_empty();
            return Ok(if is_empty { Turn::Empty } else { Turn::Done });
        }
        let first = alerts.first().and_then(|alert| alert.facts.number("at")).unwrap_or(0);
        let seconds = sys::wall_seconds();
        let offset = sys::pipes::local_offset(seconds).saturating_mul(1000);
        let now = u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
        let wait = settings.every.wait(first, now, offset);
        if !wait.is_zero() {
            return Ok(Turn::Early(wait.min(LOOK)));
        }
        match deliver(settings, &alerts) {
            Ok(()) => {
                for alert in &alerts {
                    self.spool.remove(&alert.id).map_err(failed)?;
                    complain(&format!("{}: sent: {}", self.name, alert.get("summary")));
                }
            }
            Err(Failure::Passing(why)) => return Err(why),
            Err(Failure::Refused(why)) => {
                for alert in &alerts {
                    self.spool.set_aside(&alert.id).map_err(failed)?;
                    let summary = alert.get("summary");
                    complain(&format!("{}: refused: {why}: {summary}", self.name));
                }
            }
        }
        Ok(Turn::Done)
    }
}
