//! From the listing of the directory to what the core must know: new, gone,
//! changed. One path for the doorbell, SIGHUP and the start. A file that cannot
//! be used never stops what runs by an older version of it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use super::confdir::Directory;
use super::report::{Level, report};
use super::{Daemon, sys};
use crate::config::{Complaint, Spec, keys, parse};
use crate::supervise::{Definition, Event, Moment, Slot, Stay, Want};

/// Editors write in bursts; a person's next keystroke comes later than this.
const QUIET: Duration = Duration::from_millis(100);

/// Somebody who never stops writing must not keep everybody else waiting.
const PATIENCE: Duration = Duration::from_secs(1);

/// When the directory is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// When, if it stays quiet until then.
    pub at: Moment,
    /// When, at the latest.
    latest: Moment,
}

impl Daemon {
    /// Has the directory read when it has been quiet for a moment.
    pub(super) fn ring(&mut self) {
        let latest = self.reread.map_or(self.now.after(PATIENCE), |due| due.latest);
        self.reread = Some(Due { at: self.now.after(QUIET).min(latest), latest });
    }

    /// Hears the doorbell, and reads the directory if it is time.
    pub(super) fn reread_directory(&mut self) {
        if self.has_rung && self.directory.has_rung() {
            self.ring();
        }
        if self.reread.is_some_and(|due| due.at <= self.now) {
            self.reread = None;
            self.directory.watch();
            self.read_directory();
        }
    }

    /// Compares the directory with what we know.
    pub(super) fn read_directory(&mut self) {
        if self.supervisor.is_closing() {
            return;
        }
        let path = self.directory.path.clone();
        let entries = match Directory::list(&path) {
            Ok(entries) => entries,
            // Nothing is known to be gone, so everything keeps running.
            Err(error) => {
                let why = sys::explain(&error);
                self.refuse("", &format!("Can't open {}: {why}", path.display()));
                return;
            }
        };
        self.refused.remove("");
        self.refused.retain(|name, _| entries.iter().any(|it| it.name == *name));
        let mut known: Vec<_> = self.supervisor.services().map(|(slot, _)| slot).collect();
        for entry in entries {
            let slot = self.supervisor.find(&entry.name);
            if let Some(refusal) = &entry.refusal {
                self.refuse(&entry.name, refusal);
                continue;
            }
            match Directory::read(&path.join(&entry.name)) {
                // Gone since the listing; the doorbell has rung again.
                Ok(None) => continue,
                Ok(Some(text)) => self.take_up(&entry.name, slot, text),
                Err(error) => {
                    let (file, why) = (path.join(&entry.name), sys::explain(&error));
                    self.refuse(&entry.name, &format!("Can't read {}: {why}", file.display()));
                }
            }
            known.retain(|&it| Some(it) != slot);
            // At once, or the outcomes of a thousand files would pile up.
            self.follow_up();
        }
        for slot in known {
            self.miss(slot);
        }
    }

    /// Reports what is wrong with a file, a line each; whether that is news.
    fn refuse(&mut self, name: &str, complaints: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        complaints.hash(&mut hasher);
        let hash = hasher.finish();
        let is_news = self.refused.insert(name.to_owned(), hash) != Some(hash);
        for line in complaints.lines().filter(|_| is_news) {
            report!(self.reporter, Level::Error, "{line}");
        }
        is_news
    }

    /// The file of `slot` is not there any more.
    fn miss(&mut self, slot: Slot) {
        let Some(service) = self.supervisor.get(slot) else { return };
        if service.stay == Stay::Here {
            let name = &service.name;
            report!(self.reporter, Level::Info, "{name}: file gone, stopping");
            self.supervisor.step(slot, Event::Leave(Stay::Gone), self.now);
        }
    }

    /// A file says `text`.
    fn take_up(&mut self, name: &str, slot: Option<Slot>, text: Vec<u8>) {
        let known = slot.and_then(|slot| Some((slot, self.supervisor.get(slot)?)));
        let is_here = known.is_some_and(|(_, service)| service.stay == Stay::Here);
        if is_here && known.is_some_and(|(_, service)| *service.definition.text == *text) {
            self.refused.remove(name);
            return;
        }
        let spec = match parse(&text, &self.defaults) {
            Ok(spec) => spec,
            Err(complaints) => {
                let lines = locate(&self.directory.path.join(name), &complaints).join("\n");
                if self.refuse(name, &lines) && is_here {
                    report!(self.reporter, Level::Info, "{name}: new file refused, kept as it was");
                }
                return;
            }
        };
        self.refused.remove(name);
        let definition = Definition { text: text.into(), policy: spec.policy.clone() };
        match known.map(|(slot, service)| (slot, service.stay)) {
            None => {
                // Those of the start are told by their own start.
                let level = if self.is_started { Level::Info } else { Level::Debug };
                report!(self.reporter, level, "{name}: added");
                self.supervisor.add(name, definition, self.now);
            }
            Some((slot, Stay::Here)) => self.change(slot, &spec, definition),
            // It comes back while the last process of its former life dies.
            Some((slot, Stay::Gone | Stay::Closing)) => {
                report!(self.reporter, Level::Info, "{name}: added");
                self.supervisor.redefine(slot, definition);
                self.supervisor.step(slot, Event::Start, self.now);
            }
        }
    }

    /// A file says something new about a service: does what follows from it, and
    /// nothing more.
    fn change(&mut self, slot: Slot, spec: &Spec, definition: Definition) {
        let Some(service) = self.supervisor.get(slot) else { return };
        let name = service.name.clone();
        let old = parse(&service.definition.text, &self.defaults).unwrap_or_default();
        let (is_wanted, is_alive) = (service.want == Want::Up, service.state.is_alive());
        let changes = keys::differences(&old, spec);
        self.supervisor.redefine(slot, definition);
        if changes.is_empty() {
            report!(self.reporter, Level::Info, "{name}: comment only, nothing");
            return;
        }
        let consequence = match (changes.restart.is_empty(), is_wanted, is_alive) {
            (true, _, _) => ", applied",
            (false, false, _) => "",
            (false, true, true) => ", restarted",
            (false, true, false) => ", started",
        };
        let words: Vec<_> = changes.restart.iter().chain(&changes.now).copied().collect();
        let words = words.join(", ");
        report!(self.reporter, Level::Info, "{name}: {words} changed{consequence}");
        if is_wanted && !changes.restart.is_empty() {
            self.supervisor.step(slot, Event::Restart, self.now);
        }
    }
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
