//! Follows what happens, and puts it into the spools of those who want to know. What
//! is in no spool yet is not counted as heard, so whoever comes after us hears it.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::door::Door;
use super::ear::{Ear, millis as now};
use super::event::{self, Alert, Kind};
use super::finds::Finds;
use super::folder::{self, Folder, Rule, Sight};
use super::outlet::Outlet;
use super::position::{Origin, Position};
use super::settings::Settings;
use super::start::complain;
use super::trouble::{Ledger, Trouble};
use crate::client::log::{Wanted, last_lines, of};
use crate::client::{self, Client, Place, say};
use crate::config::grammar::visible;
use crate::protocol::pattern::matches;
use crate::protocol::{Command, Message, Request};
use crate::sys;

/// So often we look whether our files have changed, and whether there is a going.
const LOOK: Duration = Duration::from_secs(1);

/// So many at once, before they are put down.
const BATCH: usize = 64;

/// All we know.
#[derive(Debug)]
pub struct Follower {
    pub(super) place: Place,
    folder: PathBuf,
    root: PathBuf,
    pub(super) rules: Vec<Rule>,
    sight: Option<Sight>,
    pub(super) outlet: Outlet,
    /// Where goingctl comes.
    pub(super) door: Option<Door>,
    /// Hears what services write, if somebody wants to know.
    pub(super) ear: Option<Ear>,
    pub(super) finds: Finds,
    /// Of what has no number of going's.
    count: u64,
    tags: HashMap<String, Vec<String>>,
    /// The bad times of services, by target.
    ledgers: HashMap<String, Ledger>,
    /// What was complained about last.
    said: String,
}

impl Follower {
    /// Of this going, by the files in `folder`, with spools in `root`.
    pub fn new(place: Place, folder: PathBuf, root: PathBuf) -> Follower {
        Follower {
            place,
            folder,
            outlet: Outlet::new(&root),
            root,
            rules: Vec::new(),
            sight: None,
            door: None,
            ear: None,
            finds: Finds::default(),
            count: 0,
            tags: HashMap::new(),
            ledgers: HashMap::new(),
            said: String::new(),
        }
    }

    /// Follows for ever.
    pub fn follow(mut self) -> ! {
        loop {
            self.look();
            if let Err(why) = self.session() {
                if why != self.said {
                    complain(&why);
                    self.said = why;
                }
            }
            self.wait(None, LOOK);
            self.serve();
        }
    }

    /// Follows as long as there is this going.
    fn session(&mut self) -> Result<(), String> {
        let gone =
            |trouble: client::Trouble| trouble.sentence().unwrap_or("going is gone").to_owned();
        let failed = |error: io::Error| format!("the spool: {}", sys::explain(&error));
        let mut client = Client::connect(&self.place).map_err(gone)?;
        let reply = client.ask(&Request::new(Command::Myself)).map_err(gone)?;
        let block = reply.blocks.first().ok_or("going does not say who it is")?;
        // What was not kept will happen again.
        self.ledgers.clear();
        let mut position = Position::find(&self.root, Origin::of(block), reply.serial);
        position.save(&self.root).map_err(failed)?;
        let since = Some(position.serial);
        let request = Request { since, follow: true, ..Request::new(Command::Events) };
        client.send(&request).map_err(gone)?;
        if !self.said.is_empty() {
            complain("there is a going again");
            self.said.clear();
        }
        self.open_door();
        let mut is_full = false;
        loop {
            let has_more = self.ear.as_ref().is_some_and(Ear::has_more);
            let patience = if is_full || has_more { Duration::ZERO } else { LOOK };
            self.wait(Some(client.as_fd()), patience);
            let mut events = Vec::new();
            let mut ending = Ok(());
            while events.len() < BATCH {
                match client.next(Duration::ZERO) {
                    Ok(Some(message)) => events.push(message),
                    Ok(None) => break,
                    // What it said before it went is to be told nevertheless.
                    Err(trouble) => {
                        ending = Err(gone(trouble));
                        break;
                    }
                }
            }
            is_full = events.len() >= BATCH;
            self.look();
            self.serve();
            for message in &events {
                self.put(message, &mut position).map_err(failed)?;
            }
            self.hear().map_err(failed)?;
            self.settle().map_err(failed)?;
            for ledger in self.ledgers.values_mut() {
                ledger.save().map_err(failed)?;
            }
            if !events.is_empty() {
                position.save(&self.root).map_err(failed)?;
            }
            ending?;
        }
    }

    /// Waits until somebody has something to say, or for so long.
    fn wait(&self, going: Option<BorrowedFd<'_>>, patience: Duration) {
        let all = going.into_iter().chain(self.door.as_ref().map(Door::as_fd));
        let mut fds: Vec<PollFd> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let _ = poll(&mut fds, PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX));
    }

    /// Lets goingctl in.
    fn open_door(&mut self) {
        if self.door.as_ref().is_some_and(Door::is_there) {
            return;
        }
        match Door::open(&self.place) {
            Ok(door) => self.door = Some(door),
            Err(error) => {
                let why = sys::explain(&error);
                complain(&format!("goingctl alerts and notify will not find us: {why}"));
            }
        }
    }

    /// What tells a message from all others that are no events of going.
    pub(super) fn mark(&mut self, kind: &str) -> String {
        self.count = self.count.saturating_add(1);
        format!("{kind}.{}.{}.{}", std::process::id(), sys::monotonic().0, self.count)
    }

    /// Reads our files again if they have changed.
    pub(super) fn look(&mut self) {
        let sight = folder::look(&self.folder);
        if self.sight.as_ref() == Some(&sight) {
            return;
        }
        self.sight = Some(sight);
        let folder = folder::read(&self.folder).unwrap_or_else(|error| {
            let path = self.folder.display();
            Folder {
                complaints: vec![format!("Can't open {path}: {}", sys::explain(&error))],
                ..Folder::default()
            }
        });
        folder.complaints.iter().for_each(|it| complain(it));
        for rule in &folder.rules {
            folder::examine(&self.folder, rule).iter().for_each(|it| complain(it));
        }
        self.adopt(folder);
    }

    /// Goes by these files from now on. One that cannot be used any more goes on as it
    /// was; one that is gone has its messages kept.
    fn adopt(&mut self, mut folder: Folder) {
        let is_bad = |name: &str| {
            let path = self.folder.join(name).display().to_string();
            folder
                .complaints
                .iter()
                .any(|it| it.strip_prefix(&path).is_some_and(|rest| rest.starts_with(':')))
        };
        let kept: Vec<Rule> = self.rules.iter().filter(|it| is_bad(&it.name)).cloned().collect();
        folder.rules.extend(kept);
        self.rules = folder.rules;
        self.outlet.adopt(&self.rules);
    }

    /// Puts one event where it belongs.
    fn put(&mut self, message: &Message, position: &mut Position) -> io::Result<()> {
        if let Some(serial) = message.number("serial") {
            position.serial = serial;
        }
        let kinds = event::kinds(message);
        let service = message.get("service").unwrap_or_default();
        let at = now().saturating_sub(message.number("ago-ms").unwrap_or(0));
        let is_known = service.is_empty() || self.ear.as_ref().is_none_or(|it| it.knows(service));
        if !is_known || kinds.contains(&Kind::Config) {
            self.ear.iter_mut().for_each(Ear::ask_again);
        }
        self.open_ledgers();
        self.ledgers.values_mut().for_each(|ledger| ledger.note(service, &kinds, at));
        let wants = |rule: &Rule| kinds.iter().any(|kind| rule.settings.event.contains(kind));
        if !self.rules.iter().any(wants) {
            return Ok(());
        }
        let facts = self.ask(service, &kinds);
        let rules = self.rules.iter().filter(|rule| wants(rule));
        let tags = self.tags.get(service).map_or(&[][..], Vec::as_slice);
        for rule in rules.filter(|rule| is_about(&rule.settings, service, tags)) {
            let kind = kinds.iter().find(|kind| rule.settings.event.contains(kind));
            let Some(kind) = kind else { continue };
            let is_kept = kind.is_bad() && !rule.settings.calm.is_zero();
            let ledger = self.ledgers.get_mut(&rule.name).filter(|_| is_kept);
            if ledger.is_some_and(|ledger| !ledger.hear(service, &kinds, at)) {
                continue;
            }
            let lines = last_words(facts.as_ref(), rule.settings.lines);
            let alert = Alert::new(kind.word(), &event::sentence(message), at, &lines, message);
            // A loss has no number, and is one of the event before.
            let mark = match message.number("lost") {
                Some(lost) => format!("{}.{lost}", position.mark()),
                None => position.mark(),
            };
            self.outlet.send(rule, &alert, &mark)?;
        }
        Ok(())
    }

    /// Opens those of targets that have none yet.
    fn open_ledgers(&mut self) {
        for rule in &self.rules {
            if !self.ledgers.contains_key(&rule.name) {
                let ledger = Ledger::load(&self.root.join(&rule.name));
                self.ledgers.insert(rule.name.clone(), ledger);
            }
        }
    }

    /// Tells whose bad times are over.
    fn settle(&mut self) -> io::Result<()> {
        self.open_ledgers();
        self.outlet.settle(&self.rules)?;
        let now = now();
        for rule in &self.rules {
            let Some(ledger) = self.ledgers.get_mut(&rule.name) else { continue };
            for trouble in ledger.settle(now, rule.settings.calm) {
                if rule.settings.event.contains(&Kind::Recovered) {
                    let mark = format!("recovered.{}.{}", trouble.since, trouble.service);
                    self.outlet.put(rule, &recovery(&trouble, rule, now), &mark)?;
                }
            }
        }
        Ok(())
    }

    /// What going says of a service now, if it says anything; notes its tags.
    fn ask(&mut self, service: &str, kinds: &[Kind]) -> Option<Message> {
        let is_death = kinds.contains(&Kind::Exit);
        let has_tags = self
            .rules
            .iter()
            .any(|rule| rule.settings.service.iter().any(|pattern| pattern.starts_with('@')));
        if service.is_empty() || !is_death && !has_tags {
            return None;
        }
        let names = vec![service.to_owned()];
        let request = Request { names, ..Request::new(Command::Status) };
        let reply = client::ask(&self.place, &request).ok()?;
        let block = reply.blocks.into_iter().find(|it| it.get("service") == Some(service))?;
        let tags = block.all("tag").map(str::to_owned).collect();
        self.tags.insert(service.to_owned(), tags);
        is_death.then_some(block)
    }
}

/// What is told when a bad time is over.
fn recovery(trouble: &Trouble, rule: &Rule, now: u64) -> Alert {
    let service = &trouble.service;
    let calm = say::span(rule.settings.calm);
    let mut text = format!("{service}: recovered, up for {calm}");
    if trouble.untold > 0 {
        let untold = say::count(trouble.untold, "more event");
        text.push_str(&format!("; {untold} since {}", say::moment(trouble.since)));
    }
    let mut event = Message::new();
    event.add("service", service);
    event.add("state", "up");
    event.add("untold", &trouble.untold.to_string());
    Alert::new(Kind::Recovered.word(), &text, now, &[], &event)
}

/// Whether somebody wants to know of this service. What is about none is for all.
pub fn is_about(settings: &Settings, service: &str, tags: &[String]) -> bool {
    service.is_empty()
        || settings.service.iter().any(|pattern| match pattern.strip_prefix('@') {
            Some(tag) => tags.iter().any(|it| it == tag),
            // A template stands for all its instances.
            None if pattern.ends_with('@') => service.starts_with(pattern.as_str()),
            None => matches(pattern, service),
        })
}

/// What it wrote last, if we may read it.
fn last_words(block: Option<&Message>, count: u32) -> Vec<String> {
    let sources = block.filter(|_| count > 0).and_then(|it| of(it, Wanted::Both).ok());
    let lines = last_lines(sources.unwrap_or_default(), u64::from(count), None);
    let shown = |line: &Vec<u8>| {
        let text = String::from_utf8_lossy(line);
        visible(&text.chars().take(500).collect::<String>())
    };
    lines.unwrap_or_default().iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_meant_by_name_pattern_template_and_tag() {
        let about = |patterns: &str, service: &str| {
            let service_of = patterns.split(' ').map(str::to_owned).collect();
            let settings = Settings { service: service_of, ..Settings::default() };
            is_about(&settings, service, &["back".to_owned()])
        };
        for (patterns, service) in [
            ("*", "web"),
            ("db web", "web"),
            ("w*", "web"),
            ("web@", "web@1"),
            ("@back", "x"),
            ("db", ""),
        ] {
            assert!(about(patterns, service), "{patterns} {service}");
        }
        for (patterns, service) in [("db", "web"), ("web@", "web"), ("@front", "x"), ("we", "web")]
        {
            assert!(!about(patterns, service), "{patterns} {service}");
        }
    }
}
