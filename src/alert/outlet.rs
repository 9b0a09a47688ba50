//! The way to the spools. Not everything that somebody wants to know gets there: a
//! target may be mute for a while, or have got too much lately.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::desk::{self, Bell};
use super::ear::millis;
use super::event::{Alert, Kind};
use super::folder::Rule;
use super::limit::Limits;
use super::spool;
use super::start::complain;
use crate::client::say;
use crate::config::words::show_burst;
use crate::protocol::Message;
use crate::sys;

/// Where it is kept who is mute.
const FILE: &str = "muted";

/// Of somebody who is mute until he is not.
pub const FOREVER: u64 = u64::MAX;

/// The targets.
#[derive(Debug)]
pub struct Outlet {
    root: PathBuf,
    bells: Vec<Bell>,
    limits: Limits,
    /// Until when they are mute, in milliseconds since 1970.
    muted: BTreeMap<String, u64>,
}

impl Outlet {
    /// With spools in this directory.
    pub fn new(root: &Path) -> Outlet {
        let text = fs::read(root.join(FILE)).unwrap_or_default();
        let message = Message::parse(&text).unwrap_or_default();
        let muted = message.all("muted").filter_map(|line| {
            let (until, name) = line.split_once(' ')?;
            Some((name.to_owned(), until.parse().ok()?))
        });
        let muted = muted.collect();
        Outlet { root: root.to_owned(), bells: Vec::new(), limits: Limits::default(), muted }
    }

    /// Goes by these rules from now on. One that is gone has its messages kept.
    pub fn adopt(&mut self, rules: &[Rule]) {
        for rule in rules {
            if self.bells.iter().all(|bell| bell.name() != rule.name) {
                match desk::open(self.root.clone(), &rule.name) {
                    Ok(bell) => self.bells.push(bell),
                    Err(error) => complain(&format!("{}: {}", rule.name, sys::explain(&error))),
                }
            }
        }
        for bell in &self.bells {
            let rule = rules.iter().find(|rule| rule.name == bell.name());
            bell.change(rule.map(|rule| rule.settings.clone()));
        }
    }

    /// The desks.
    pub fn bells(&self) -> &[Bell] {
        &self.bells
    }

    /// Puts a message where its target finds it, unless that wants no more for now.
    ///
    /// # Errors
    /// As [`spool::write`].
    pub fn send(&mut self, rule: &Rule, alert: &Alert, mark: &str) -> io::Result<()> {
        let is_mute = self.muted_until(&rule.name).is_some();
        if is_mute || !self.limits.admit(&rule.name, rule.settings.limit, sys::monotonic()) {
            return Ok(());
        }
        self.put(rule, alert, mark)
    }

    /// The same, whatever it wants.
    ///
    /// # Errors
    /// As [`spool::write`].
    pub fn put(&self, rule: &Rule, alert: &Alert, mark: &str) -> io::Result<()> {
        let bell = self.bells.iter().find(|bell| bell.name() == rule.name);
        let Some(bell) = bell else { return Ok(()) };
        let room = usize::try_from(rule.settings.spool).unwrap_or(usize::MAX);
        let dropped = bell.spool().put(alert, mark, room)?;
        if dropped > 0 {
            complain(&format!("{}: spool is full, {dropped} dropped", rule.name));
        }
        bell.ring();
        Ok(())
    }

    /// Tells how much was too much.
    ///
    /// # Errors
    /// As [`spool::write`].
    pub fn settle(&mut self, rules: &[Rule]) -> io::Result<()> {
        for rule in rules {
            let limit = rule.settings.limit;
            let Some(untold) = self.limits.settle(&rule.name, limit, sys::monotonic()) else {
                continue;
            };
            let verb = if untold == 1 { "was" } else { "were" };
            let text = format!(
                "{} {verb} not told: more than limit={}",
                say::count(untold, "event"),
                show_burst(limit)
            );
            let now = millis();
            let alert = Alert::new(Kind::Lost.word(), &text, now, &[], &Message::new());
            self.put(rule, &alert, &format!("limit.{now}"))?;
        }
        Ok(())
    }

    /// Until when a target is mute; nothing if it is not.
    pub fn muted_until(&self, name: &str) -> Option<u64> {
        self.muted.get(name).copied().filter(|until| *until > millis())
    }

    /// Makes a target mute until then, or not any more.
    ///
    /// # Errors
    /// As [`spool::write`].
    pub fn mute(&mut self, name: &str, until: Option<u64>) -> io::Result<()> {
        match until {
            Some(until) => self.muted.insert(name.to_owned(), until),
            None => self.muted.remove(name),
        };
        let now = millis();
        self.muted.retain(|_, until| *until > now);
        let mut message = Message::new();
        for (name, until) in &self.muted {
            message.add("muted", &format!("{until} {name}"));
        }
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        spool::write(&self.root, FILE, &bytes)
    }
}
