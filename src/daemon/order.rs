//! Who waits for whom: what is wrong with it, what is told of it, and what follows
//! from it for those that run.

use std::path::{Path, PathBuf};

use super::report::{Level, report};
use super::server::Client;
use super::{Daemon, logger};
use crate::config::instances::{is_template, parts};
use crate::config::nearest::nearest;
use crate::config::order::{HeldOrder, Misplaced, OnNeed, Placed, misplaced};
use crate::config::parse::line_of;
use crate::config::values::hint;
use crate::protocol::{self, put};
use crate::supervise::{Blocker, Event, Slot};

/// What is wrong with the places of services among each other, a line each. All of
/// them are given, by name, with the text of each.
pub(super) fn complaints<'a>(
    directory: &Path,
    all: impl Iterator<Item = (&'a str, &'a HeldOrder, &'a [u8])> + Clone,
) -> Vec<String> {
    if all.clone().all(|(_, order, _)| order.is_usual()) {
        return Vec::new();
    }
    let placed: Vec<Placed> = all.clone().map(|(name, order, _)| (name, &**order)).collect();
    // Ours has no file, and is started with the first log.
    let is_ours = |it: &Misplaced| matches!(it, Misplaced::Missing(need) if need == logger::NAME);
    let found = misplaced(&placed).into_iter().filter(|it| !is_ours(&it.1));
    let found = found.map(|(name, wrong)| {
        let text = all.clone().find(|it| it.0 == name).map_or(&b""[..], |it| it.2);
        let (key, message) = match wrong {
            Misplaced::Missing(need) => {
                let is_one = !is_template(&need);
                let what = if is_one { "no service" } else { "no instance of a template" };
                let message = format!("needs={need}, but there is {what} of that name");
                let names = all.clone().map(|it| it.0).filter(|it| is_one && *it != name);
                ("needs", hint(message, nearest(&need, names)))
            }
            Misplaced::Circle(names) => {
                let key = if line_of(text, "needs") > 0 { "needs" } else { "after" };
                let way = names.join(", which waits for ");
                (key, format!("{way}, which waits for {name}: none of them can be the first"))
            }
        };
        format!("{}:{}: {message}", file_of(directory, &name).display(), line_of(text, key))
    });
    found.collect()
}

/// The file that a service is made of.
fn file_of(directory: &Path, name: &str) -> PathBuf {
    let own = directory.join(name);
    match parts(name) {
        Some((template, _)) if !own.exists() => directory.join(template),
        _ => own,
    }
}

impl Daemon {
    /// Reports what is wrong with the places of services among each other, once.
    pub(super) fn look_at_order(&mut self) {
        let all = self
            .supervisor
            .services()
            .map(|(_, it)| (&*it.name, &it.definition.policy.order, &*it.definition.text));
        let lines = complaints(&self.directory.path, all);
        for line in lines.iter().filter(|it| !self.misplaced.contains(it)) {
            report!(self.reporter, Level::Error, "{line}");
        }
        self.misplaced = lines;
    }

    /// Tells for whom a service waits, and how things are with them.
    pub(super) fn put_blockers(&self, out: &mut Vec<u8>, slot: Slot) {
        for blocker in self.supervisor.blockers(slot) {
            let (name, state) = match blocker {
                Blocker::Missing(name) => (name, "missing"),
                Blocker::Service(slot) => {
                    let Some(service) = self.supervisor.get(slot) else { continue };
                    (&*service.name, protocol::State::of(&service.state).word())
                }
            };
            put(out, "waits-for", &format!("{name} {state}"));
        }
    }

    /// Starts what a service needs that somebody is about to start, as far as it is his
    /// to command.
    pub(super) fn start_needs(&mut self, client: &Client, slot: Slot) {
        for need in self.supervisor.unwanted_needs(slot) {
            if !self.may_order(client, need) {
                continue;
            }
            let name = |slot| self.supervisor.get(slot).map(|it| it.name.clone());
            let (Some(name), Some(of)) = (name(need), name(slot)) else { continue };
            report!(self.reporter, Level::Info, "{name}: to be started, for {of} needs it");
            self.supervisor.step(need, Event::Start, self.now);
        }
    }

    /// Has those do what they ask for that need one that was restarted.
    pub(super) fn tell_dependents(&mut self) {
        for (slot, need, what) in self.supervisor.take_concerned() {
            let name = |slot| self.supervisor.get(slot).map(|it| it.name.clone());
            let (Some(name), Some(need)) = (name(slot), name(need)) else { continue };
            let fact = match what {
                OnNeed::Nothing => continue,
                OnNeed::Restart => "restarted".to_owned(),
                OnNeed::Reload => {
                    let Some(spec) = self.spec(slot) else { continue };
                    self.send_reload(slot, &spec)
                }
            };
            self.tell_file(Level::Info, &name, &format!("{need} was restarted, {fact}"));
            if what == OnNeed::Restart {
                self.supervisor.step(slot, Event::Restart, self.now);
            }
        }
    }
}
