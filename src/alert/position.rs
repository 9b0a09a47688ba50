//! Up to which event we know what happened, kept on disk: whoever starts us again
//! goes on after it. Events are numbered by each going anew, so which going it was
//! is kept, too.

use std::fs;
use std::io;
use std::path::Path;

use super::spool;
use crate::protocol::Message;
use crate::sys;

const FILE: &str = "position";

/// In milliseconds. Clocks are read at slightly different moments.
const SLACK: u64 = 1500;

/// A going, as far as it can be told from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    boot: String,
    pid: u64,
    /// On the monotonic clock, in milliseconds.
    started: u64,
}

impl Origin {
    /// The going that said this of itself.
    pub fn of(block: &Message) -> Origin {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let uptime = block.number("uptime-ms").unwrap_or(0);
        Origin {
            boot: boot.trim().to_owned(),
            pid: block.number("pid").unwrap_or(0),
            started: sys::monotonic().0.saturating_sub(uptime),
        }
    }

    /// Whether it is the same going.
    pub fn is_like(&self, other: &Origin) -> bool {
        self.boot == other.boot
            && self.pid == other.pid
            && self.started.abs_diff(other.started) <= SLACK
    }
}

/// The last event we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Who said it.
    pub origin: Origin,
    /// Its number.
    pub serial: u64,
}

impl Position {
    /// Where to go on with this going, whose last event so far is `latest`.
    pub fn find(root: &Path, origin: Origin, latest: u64) -> Position {
        match Position::load(root) {
            // Nobody ever followed: what was before us was told by others.
            None => Position { origin, serial: latest },
            Some(known) if known.origin.is_like(&origin) && known.serial <= latest => known,
            Some(_) => Position { origin, serial: 0 },
        }
    }

    fn load(root: &Path) -> Option<Position> {
        let message = Message::parse(&fs::read(root.join(FILE)).ok()?).ok()?;
        let origin = Origin {
            boot: message.get("boot")?.to_owned(),
            pid: message.number("pid")?,
            started: message.number("started")?,
        };
        Some(Position { origin, serial: message.number("serial")? })
    }

    /// Keeps it.
    ///
    /// # Errors
    /// As [`spool::write`].
    pub fn save(&self, root: &Path) -> io::Result<()> {
        let mut message = Message::new();
        message.add("boot", &self.origin.boot);
        message.add("pid", &self.origin.pid.to_string());
        message.add("started", &self.origin.started.to_string());
        message.add("serial", &self.serial.to_string());
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        spool::write(root, FILE, &bytes)
    }

    /// What tells this event from all others.
    pub fn mark(&self) -> String {
        format!("{}.{}.{}", self.origin.pid, self.origin.started, self.serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_going_is_followed_from_its_first_event_on() {
        let root = std::env::temp_dir().join(format!("going-position-{}", std::process::id()));
        spool::make(&root).unwrap();
        let origin = |pid, started| Origin { boot: "b".to_owned(), pid, started };
        let find = |origin, latest| Position::find(&root, origin, latest).serial;
        assert_eq!(find(origin(1, 5000), 7), 7, "nothing is told of the time before us");
        Position { origin: origin(1, 5000), serial: 7 }.save(&root).unwrap();
        assert_eq!(find(origin(1, 5900), 9), 7);
        assert_eq!(find(origin(1, 5000), 6), 0, "its numbers began anew");
        assert_eq!(find(origin(1, 9000), 9), 0);
        assert_eq!(find(origin(2, 5000), 9), 0);
        assert_eq!(find(Origin { boot: "c".to_owned(), ..origin(1, 5000) }, 9), 0);
        fs::remove_dir_all(root).unwrap();
    }
}
