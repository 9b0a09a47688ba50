//! What is known of the bad times of services, for one target: a crash loop is told
//! when it begins and when it is over, not at each turn. Kept on disk, so that our
//! own death does not tell it anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::event::Kind;
use super::spool;
use crate::protocol::{Decoder, Message};

/// Hidden among the messages.
const FILE: &str = ".trouble";

/// The bad times of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Whose.
    pub service: String,
    /// The gravest thing that was told.
    kind: Kind,
    /// When they began, in milliseconds since 1970.
    pub since: u64,
    /// What happened since, and was not told.
    pub untold: u64,
    /// Since when it is up, if it is.
    up_since: Option<u64>,
}

/// All bad times.
#[derive(Debug, Default)]
pub struct Ledger {
    file: PathBuf,
    list: Vec<Trouble>,
    is_changed: bool,
}

impl Ledger {
    /// As it was left in this spool.
    pub fn load(folder: &Path) -> Ledger {
        let file = folder.join(FILE);
        let mut decoder = Decoder::new();
        decoder.feed(&fs::read(&file).unwrap_or_default());
        let mut list = Vec::new();
        while let Ok(Some(message)) = decoder.message() {
            list.extend(read(&message));
        }
        Ledger { file, list, is_changed: false }
    }

    /// Notes what is good about an event, whoever wants to know of it.
    pub fn note(&mut self, service: &str, kinds: &[Kind], at: u64) {
        let Some(place) = self.list.iter().position(|it| it.service == service) else { return };
        // Whoever stopped it knows.
        if kinds.contains(&Kind::Stop) {
            self.list.remove(place);
            self.is_changed = true;
        } else if let Some(known) = self.list.get_mut(place) {
            let is_up = kinds.contains(&Kind::Ready);
            if is_up || known.up_since.is_some() && kinds.contains(&Kind::Exit) {
                known.up_since = Some(at).filter(|_| is_up);
                self.is_changed = true;
            }
        }
    }

    /// Hears of an event, by its words, the gravest first; whether it is to be told.
    pub fn hear(&mut self, service: &str, kinds: &[Kind], at: u64) -> bool {
        let place = self.list.iter().position(|it| it.service == service);
        let bad = kinds.iter().copied().find(|kind| kind.is_bad());
        let Some(kind) = bad else { return true };
        self.is_changed = true;
        let Some(known) = place.and_then(|place| self.list.get_mut(place)) else {
            let service = service.to_owned();
            self.list.push(Trouble { service, kind, since: at, untold: 0, up_since: None });
            return true;
        };
        known.up_since = None;
        // Nobody will start it any more, which is more than what was told.
        if kind == Kind::Failed && known.kind != Kind::Failed {
            known.kind = kind;
            return true;
        }
        known.untold = known.untold.saturating_add(1);
        false
    }

    /// Those that are over, because they have been up for so long.
    pub fn settle(&mut self, now: u64, calm: Duration) -> Vec<Trouble> {
        let calm = u64::try_from(calm.as_millis()).unwrap_or(u64::MAX);
        let is_over =
            |it: &Trouble| it.up_since.is_some_and(|since| now.saturating_sub(since) >= calm);
        let over: Vec<Trouble> = self.list.iter().filter(|it| is_over(it)).cloned().collect();
        self.is_changed |= !over.is_empty();
        self.list.retain(|it| !is_over(it));
        over
    }

    /// Keeps what has changed.
    ///
    /// # Errors
    /// As [`spool::write`].
    pub fn save(&mut self) -> io::Result<()> {
        if !self.is_changed {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for trouble in &self.list {
            trouble.message().write(&mut bytes);
        }
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        spool::make(folder)?;
        spool::write(folder, FILE, &bytes)?;
        self.is_changed = false;
        Ok(())
    }
}

fn read(message: &Message) -> Option<Trouble> {
    Some(Trouble {
        service: message.get("service")?.to_owned(),
        kind: Kind::read(message.get("kind")?)?,
        since: message.number("since")?,
        untold: message.number("untold")?,
        up_since: message.number("up-since"),
    })
}

impl Trouble {
    fn message(&self) -> Message {
        let mut message = Message::new();
        message.add("service", &self.service);
        message.add("kind", self.kind.word());
        message.add("since", &self.since.to_string());
        message.add("untold", &self.untold.to_string());
        if let Some(since) = self.up_since {
            message.add("up-since", &since.to_string());
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOP: &[Kind] = &[Kind::Quarantine, Kind::UnexpectedExit, Kind::Exit];
    const CALM: Duration = Duration::from_millis(100);

    #[test]
    fn a_crash_loop_is_told_at_its_beginning_and_its_end() {
        let mut ledger = Ledger::default();
        assert!(ledger.hear("web", LOOP, 10));
        for at in [20, 40, 60] {
            ledger.note("web", &[Kind::Ready], at - 5);
            assert!(!ledger.hear("web", LOOP, at));
        }
        assert!(ledger.hear("db", LOOP, 60), "another service is another matter");
        assert!(ledger.settle(1000, CALM).is_empty(), "it is not up");
        ledger.note("web", &[Kind::Ready], 100);
        assert!(ledger.settle(199, CALM).is_empty());
        let over = ledger.settle(200, CALM);
        assert_eq!((over.len(), &*over[0].service, over[0].untold), (1, "web", 3));
        assert!(ledger.settle(300, CALM).is_empty());
        assert!(ledger.hear("web", LOOP, 310), "this is a new one");
    }

    #[test]
    fn giving_up_is_told_and_an_order_ends_it() {
        let mut ledger = Ledger::default();
        assert!(ledger.hear("web", LOOP, 10));
        let failed = [Kind::Failed, Kind::UnexpectedExit];
        assert!(ledger.hear("web", &failed, 20));
        assert!(!ledger.hear("web", &failed, 30));
        ledger.note("web", &[Kind::Stop], 40);
        assert!(ledger.hear("web", &[Kind::Stop], 40));
        assert!(ledger.hear("web", LOOP, 50));
    }

    #[test]
    fn it_is_the_same_after_our_death() {
        let folder = std::env::temp_dir().join(format!("going-trouble-{}", std::process::id()));
        let mut ledger = Ledger::load(&folder);
        ledger.hear("web", LOOP, 10);
        ledger.hear("db", LOOP, 11);
        ledger.note("db", &[Kind::Ready], 12);
        ledger.save().unwrap();
        let mut again = Ledger::load(&folder);
        assert_eq!(again.list, ledger.list);
        assert!(!again.hear("web", LOOP, 20));
        fs::remove_dir_all(folder).unwrap();
    }
}
