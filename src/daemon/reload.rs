//! From the listing of the directory to what the core must know: new, gone,
//! changed. One path for the doorbell, SIGHUP, a client and the start. A file that
//! cannot be used never stops what runs by an older version of it.

use std::path::Path;
use std::time::Duration;

use super::confdir::{Directory, Entry, Ring};
use super::report::{Level, report};
use super::{DOORBELL, Daemon, instances, logger, sys};
use crate::config::instances::{self as templates, order};
use crate::config::{Complaint, keys, parse};
use crate::supervise::{Definition, Event, Moment, Slot, State, Stay, Want};

/// Editors write in bursts; a person's next keystroke comes later than this.
const QUIET: Duration = Duration::from_millis(100);

/// Somebody who never stops writing must not keep everybody else waiting.
const PATIENCE: Duration = Duration::from_secs(1);

/// So often a directory is looked through that changes meanwhile.
const LOOKS: u32 = 8;

/// When the directory is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// When, if it stays quiet until then.
    pub at: Moment,
    /// When, at the latest.
    latest: Moment,
    /// Nothing but what was set aside has changed.
    is_calm: bool,
}

/// What a file that is not as we know it calls for.
pub struct Finding {
    /// The service's name; empty if it is about the directory.
    pub name: String,
    /// What is to be done.
    pub decision: Decision,
    /// The keys whose values changed.
    pub keys: Vec<&'static str>,
}

/// What is to be done about a file.
pub enum Decision {
    /// It is new.
    Start(Definition),
    /// Its new values need a new process.
    Restart(Definition),
    /// Its new values count from now on, without one.
    Apply(Definition),
    /// It is gone.
    Stop,
    /// It cannot be used, for these reasons, a line each.
    Refuse(String),
}

impl Due {
    /// When it is due after one more ring.
    pub fn ring(due: Option<Due>, now: Moment) -> Due {
        let latest = due.map_or(now.after(PATIENCE), |due| due.latest);
        Due { at: now.after(QUIET).min(latest), latest, is_calm: false }
    }
}

impl Daemon {
    /// Has the directory read when it has been quiet for a moment.
    pub(super) fn ring(&mut self) {
        self.reread = Some(Due::ring(self.reread, self.now));
    }

    /// Hears the doorbell, and reads the directory if it is time.
    pub(super) fn reread_directory(&mut self) {
        if self.heard.contains(&DOORBELL) {
            let is_calm = self.reread.is_none_or(|due| due.is_calm);
            let is_rested = self.directory.read_at.is_none_or(|at| at.after(QUIET) <= self.now);
            match self.directory.has_rung() {
                Ring::None => {}
                // Unless there come many, one after the other.
                Ring::Whole if is_calm && is_rested => {
                    self.reread = Some(Due { at: self.now, latest: self.now, is_calm });
                }
                ring @ (Ring::Aside | Ring::Whole | Ring::Other) => {
                    self.ring();
                    let is_calm = is_calm && ring == Ring::Aside;
                    self.reread = self.reread.map(|due| Due { is_calm, ..due });
                }
            }
        }
        if self.reread.is_some_and(|due| due.at <= self.now) {
            self.read_directory();
        }
        self.keep_home();
    }

    /// Brings what we know into line with the directory.
    pub(super) fn read_directory(&mut self) {
        (self.reread, self.directory.read_at) = (None, Some(self.now));
        if self.supervisor.is_closing() {
            return;
        }
        self.watch_directory();
        self.compare(|daemon, finding| {
            daemon.apply(finding);
            // At once, or the outcomes of a thousand files would pile up.
            daemon.follow_up();
        });
        self.look_at_conditions();
        self.look_at_order();
    }

    /// Tells `each` what of the directory is not as we know it. One that is moved or
    /// replaced while it is read would seem to have lost its files, so it is read again.
    pub(super) fn compare(&mut self, mut each: impl FnMut(&mut Daemon, Finding)) {
        if !(0..LOOKS).any(|_| self.look_through(&mut each)) {
            self.arrears.directory.set(true);
            self.refuse_directory("it changes while it is read", &mut each);
        }
    }

    /// It cannot be read: nothing is known to be gone, so everything keeps running.
    fn refuse_directory(&mut self, why: &str, each: &mut dyn FnMut(&mut Daemon, Finding)) {
        let why = format!("Can't open {}: {why}", self.directory.path.display());
        let decision = Decision::Refuse(why);
        each(self, Finding { name: String::new(), decision, keys: Vec::new() });
    }

    /// Reads it once; false if it was another one at the end.
    fn look_through(&mut self, each: &mut dyn FnMut(&mut Daemon, Finding)) -> bool {
        let path = self.directory.path.clone();
        let condition = Directory::condition(&path);
        let entries = match Directory::list(&path) {
            Ok(entries) => instances::complete(&path, entries, &self.defaults),
            Err(_) if self.ends.main.as_ref().is_some_and(|main| main.is_alone) => return true,
            Err(error) => {
                if sys::is_passing(&error) {
                    self.arrears.directory.set(true);
                }
                self.refuse_directory(&sys::explain(&error), each);
                return true;
            }
        };
        self.refused.retain(|name| entries.iter().any(|it| it.name == name));
        let mut missing: Vec<_> = self.supervisor.services().map(|(slot, _)| slot).collect();
        let mut kept = Vec::new();
        for entry in entries {
            let slot = self.supervisor.find(&entry.name);
            match self.examine(&path, &entry, slot) {
                // A directory, or gone since the listing.
                Err(()) => continue,
                Ok(None) => {
                    self.refused.remove(&entry.name);
                }
                Ok(Some(finding)) => each(self, finding),
            }
            // What a template asked for is not gone while nobody can read that.
            let is_refused = entry.refusal.is_some() && templates::is_template(&entry.name);
            let services = self.supervisor.services().filter(|_| is_refused);
            let made = services.filter(|(_, it)| templates::is_of(&it.name, &entry.name));
            // Who has come just now may have the place of one that was there before.
            let own = slot.or_else(|| self.supervisor.find(&entry.name));
            let all = made.map(|(it, _)| it).chain(own).filter(|_| !missing.is_empty());
            all.for_each(|it| mark(&mut kept, it));
        }
        missing.retain(|it| kept.get(it.index()) != Some(&true));
        let is_complete = missing.is_empty() && self.legacy.is_claimed();
        if !is_complete && Directory::condition(&path) != condition {
            return false;
        }
        let name = |slot: &Slot| self.supervisor.get(*slot).map_or("", |it| &it.name);
        missing.sort_by(|one, other| order(name(other), name(one)));
        for slot in missing {
            let Some(service) = self.supervisor.get(slot) else { continue };
            if service.stay == Stay::Here && !self.is_main(&service.name) {
                let name = service.name.to_string();
                let own = self.logs.as_ref().filter(|_| name == logger::NAME);
                let own = own.map(|logs| logs.place.definition());
                let decision = match own {
                    // It needs no file, and goes on as if it never had one.
                    Some(definition) if definition == service.definition => continue,
                    Some(definition) => Decision::Restart(definition),
                    None => Decision::Stop,
                };
                each(self, Finding { name, decision, keys: Vec::new() });
            }
        }
        true
    }

    /// What is new about one entry; an error if it is no file after all.
    fn examine(
        &self,
        path: &Path,
        entry: &Entry,
        slot: Option<Slot>,
    ) -> Result<Option<Finding>, ()> {
        let name = entry.name.clone();
        let found = |decision, keys| Ok(Some(Finding { name, decision, keys }));
        if let Some(refusal) = &entry.refusal {
            return found(Decision::Refuse(refusal.clone()), Vec::new());
        }
        let file = path.join(&entry.file);
        if self.is_main(&entry.name) {
            let why = format!("{}: the main command has this name", file.display());
            return found(Decision::Refuse(why), Vec::new());
        }
        let text = match Directory::read(&file) {
            Ok(text) => text.ok_or(())?,
            Err(error) => {
                if sys::is_passing(&error) {
                    self.arrears.directory.set(true);
                }
                let why = format!("Can't read {}: {}", file.display(), sys::explain(&error));
                return found(Decision::Refuse(why), Vec::new());
            }
        };
        // What is on its way out comes back as a new service.
        let service = slot.and_then(|slot| self.supervisor.get(slot));
        let service = service.filter(|service| service.stay == Stay::Here);
        let mut made = templates::make(&entry.name, &text);
        let is_same = service.is_some_and(|service| *service.definition.text == *made.text);
        if is_same && made.wrong.is_empty() {
            return Ok(None);
        }
        let spec = match made.read(&self.defaults) {
            Ok(spec) => spec,
            Err(complaints) => {
                let lines = locate(&file, &complaints).join("\n");
                return found(Decision::Refuse(lines), Vec::new());
            }
        };
        let definition =
            Definition { text: made.text.into_owned().into(), policy: spec.policy.clone().into() };
        let Some(service) = service else { return found(Decision::Start(definition), Vec::new()) };
        let old = parse(&service.definition.text, &self.defaults).unwrap_or_default();
        let mut changes = keys::differences(&old, &spec);
        if slot.is_some_and(|slot| self.is_made_of(slot, &definition.text, &spec)) {
            changes.restart.clear();
        }
        let needs_restart = !changes.restart.is_empty();
        changes.restart.append(&mut changes.now);
        let decision =
            if needs_restart { Decision::Restart(definition) } else { Decision::Apply(definition) };
        found(decision, changes.restart)
    }

    /// Does what a finding calls for, and says so.
    pub(super) fn apply(&mut self, Finding { name, decision, keys }: Finding) {
        let slot = self.supervisor.find(&name);
        if !matches!(decision, Decision::Refuse(_)) {
            self.refused.remove(&name);
        }
        let words = keys.join(", ");
        match (decision, slot) {
            (Decision::Refuse(lines), _) => self.refuse(name, lines, slot),
            (Decision::Start(definition), Some(slot)) => {
                // It comes back while the last process of its former life dies.
                self.tell_file(Level::Info, &name, "added");
                self.supervisor.redefine(slot, definition);
                self.supervisor.step(slot, Event::Arrive, self.now);
            }
            (Decision::Start(definition), None) => {
                // Those of the start are told by their own start.
                let level = if self.is_started { Level::Info } else { Level::Debug };
                self.tell_file(level, &name, "added");
                self.add(&name, definition);
            }
            (Decision::Apply(definition), Some(slot)) => {
                self.supervisor.redefine(slot, definition);
                self.renew_log(slot);
                if let Some(spec) = self.spec(slot).filter(|_| keys.contains(&"watch")) {
                    self.watch_files(slot, &spec);
                }
                self.renew_limits(slot);
                self.mind_anew(slot);
                let state = self.supervisor.get(slot).map(|service| service.state);
                let fact = match (keys.is_empty(), state) {
                    (true, _) => "comment only, nothing",
                    // It was given up as it was, and is something else now.
                    (false, Some(State::Failed)) => " changed, started",
                    (false, _) => " changed, applied",
                };
                self.tell_file(Level::Info, &name, &format!("{words}{fact}"));
                let is_idle = keys.contains(&"start") && self.rethink_start(slot);
                if !is_idle && !keys.is_empty() && state == Some(State::Failed) {
                    self.supervisor.step(slot, Event::Restart, self.now);
                }
            }
            (Decision::Restart(definition), Some(slot)) => self.restart(slot, &words, definition),
            (Decision::Stop, Some(slot)) => {
                self.tell_file(Level::Info, &name, "file gone, stopping");
                self.supervisor.part(slot, Some(Stay::Gone));
            }
            // Only what is known can change or go.
            (Decision::Apply(_) | Decision::Restart(_) | Decision::Stop, None) => {}
        }
    }

    /// Reports what is wrong with a file, once.
    fn refuse(&mut self, name: String, lines: String, slot: Option<Slot>) {
        if self.refused.get(&name) == Some(&*lines) {
            return;
        }
        for line in lines.lines() {
            report!(self.reporter, Level::Error, "{line}");
            self.events_ring.file(self.now, &name, line);
        }
        let service = slot.and_then(|slot| self.supervisor.get(slot));
        if service.is_some_and(|service| service.stay == Stay::Here) {
            self.tell_file(Level::Info, &name, "new file refused, kept as it was");
        }
        if self.supervisor.services().any(|(_, it)| templates::is_of(&it.name, &name)) {
            self.tell_file(Level::Info, &name, "template refused, its instances kept as they were");
        }
        self.refused.insert(name, lines);
    }

    pub(super) fn tell_file(&mut self, level: Level, name: &str, fact: &str) {
        report!(self.reporter, level, "{name}: {fact}");
        if level < Level::Debug {
            self.events_ring.file(self.now, name, fact);
        }
    }

    fn restart(&mut self, slot: Slot, words: &str, definition: Definition) {
        let Some(service) = self.supervisor.get(slot) else { return };
        let name = service.name.clone();
        let is_wanted = service.want == Want::Up;
        let consequence = match (is_wanted, service.state.is_alive()) {
            (true, true) => ", restarted",
            // Whom nobody has asked for yet waits on, as it is now.
            (true, false) if service.state == State::Listening => "",
            (true, false) => ", started",
            // What an operator put down stays down.
            (false, _) => "",
        };
        self.tell_file(Level::Info, &name, &format!("{words} changed{consequence}"));
        self.supervisor.redefine(slot, definition);
        if is_wanted && !self.rethink_start(slot) {
            self.supervisor.step(slot, Event::Restart, self.now);
        }
    }
}

/// Marks one by the number of its slot, for there may be thousands.
fn mark(kept: &mut Vec<bool>, slot: Slot) {
    let index = slot.index();
    kept.resize(kept.len().max(index.saturating_add(1)), false);
    kept.get_mut(index).into_iter().for_each(|it| *it = true);
}

/// Complaints as people and editors like them: `FILE:LINE: message`.
pub fn locate(file: &Path, complaints: &[Complaint]) -> Vec<String> {
    let file = file.display();
    let lines = complaints.iter().map(|Complaint { line, message }| match line {
        0 => format!("{file}: {message}"),
        _ => format!("{file}:{line}: {message}"),
    });
    lines.collect()
}
