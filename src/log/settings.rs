//! What is to be done with a stream, as going says it and as the journal keeps
//! it. A name from either becomes a name of files only if it is a service's.

use std::time::Duration;

use crate::config::names::{Name, judge};
use crate::config::{Full, Rate, Timestamps};
use crate::protocol::Message;

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A log of the service.
    File,
    /// Our own stdout.
    Console,
    /// The system's log.
    Syslog,
}

/// Everything that is said about a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The service's name.
    pub name: Box<str>,
    /// It is its stderr.
    pub is_stderr: bool,
    /// Where lines go.
    pub target: Target,
    /// How large a log may become; 0 is no limit.
    pub size: u64,
    /// How many backups there are; 0 is no limit.
    pub keep: u32,
    /// Backups but the newest are compressed.
    pub is_compressed: bool,
    /// The time before each line.
    pub timestamps: Timestamps,
    /// Escape sequences are left out.
    pub is_stripped: bool,
    /// Not more lines than these.
    pub rate: Option<Rate>,
    /// What becomes of output that cannot be written.
    pub full: Full,
}

/// As many words as settings need in the journal.
pub const SETTINGS_WORDS: usize = 6;

impl Settings {
    /// Whether lines become what they are, none added, none left out.
    pub fn is_plain(&self) -> bool {
        self.timestamps == Timestamps::No && !self.is_stripped && self.rate.is_none()
    }

    /// Reads them from a message.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn read(message: &Message) -> Result<Settings, String> {
        let name = message.get("name").ok_or("no name=")?;
        if judge(name.as_bytes()) != Name::Service {
            return Err("name= is no name of a service".to_owned());
        }
        let is_yes = |key: &'static str| choose(message, key, [("yes", true), ("no", false)]);
        let number = |key: &str| message.number(key).ok_or(format!("no number in {key}="));
        let rate = message.get("rate").ok_or("no rate=")?;
        Ok(Settings {
            name: name.into(),
            is_stderr: choose(message, "stream", [("stdout", false), ("stderr", true)])?,
            target: choose(
                message,
                "to",
                [("file", Target::File), ("console", Target::Console), ("syslog", Target::Syslog)],
            )?,
            size: number("size")?,
            keep: u32::try_from(number("keep")?).unwrap_or(u32::MAX),
            is_compressed: is_yes("compress")?,
            timestamps: choose(
                message,
                "timestamps",
                [("utc", Timestamps::Utc), ("local", Timestamps::Local), ("no", Timestamps::No)],
            )?,
            is_stripped: is_yes("strip-ansi")?,
            rate: read_rate(rate).ok_or("rate= is not LINES/MILLISECONDS or unlimited")?,
            full: choose(message, "full", [("drop", Full::Drop), ("block", Full::Block)])?,
        })
    }

    /// The name of the log without `.log`: that of the service, and for a stderr
    /// which is apart something that no service can be called.
    pub fn base(&self) -> String {
        if self.is_stderr { format!("{}+stderr", self.name) } else { self.name.to_string() }
    }

    /// All but the name, as words.
    pub fn words(&self) -> [u64; SETTINGS_WORDS] {
        let target = match self.target {
            Target::File => 0,
            Target::Console => 1,
            Target::Syslog => 2,
        };
        let timestamps = match self.timestamps {
            Timestamps::No => 0,
            Timestamps::Utc => 1,
            Timestamps::Local => 2,
        };
        let full = match self.full {
            Full::Drop => 0,
            Full::Block => 1,
        };
        let flags = [self.is_stderr, self.is_compressed, self.is_stripped];
        let [is_stderr, is_compressed, is_stripped] = flags.map(u64::from);
        let within = self.rate.map_or(0, |rate| rate.within.as_millis());
        [
            self.size,
            u64::from(self.keep),
            is_stderr | is_compressed << 1 | is_stripped << 2,
            target | timestamps << 8 | full << 16,
            self.rate.map_or(0, |rate| u64::from(rate.lines)),
            u64::try_from(within).unwrap_or(u64::MAX),
        ]
    }

    /// Reads what [`Settings::words`] wrote; `None` if it did not write this.
    pub fn of(name: &[u8], words: [u64; SETTINGS_WORDS]) -> Option<Settings> {
        let [size, keep, flags, choices, lines, within] = words;
        if judge(name) != Name::Service || flags > 7 || choices > 0x1_ffff {
            return None;
        }
        let lines = u32::try_from(lines).ok()?;
        let rate = Rate { lines, within: Duration::from_millis(within) };
        Some(Settings {
            name: std::str::from_utf8(name).ok()?.into(),
            is_stderr: flags & 1 != 0,
            target: match choices & 0xff {
                0 => Target::File,
                1 => Target::Console,
                2 => Target::Syslog,
                _ => return None,
            },
            size,
            keep: u32::try_from(keep).ok()?,
            is_compressed: flags & 2 != 0,
            timestamps: match choices >> 8 & 0xff {
                0 => Timestamps::No,
                1 => Timestamps::Utc,
                2 => Timestamps::Local,
                _ => return None,
            },
            is_stripped: flags & 4 != 0,
            rate: (lines > 0 && within > 0).then_some(rate),
            full: if choices >> 16 == 0 { Full::Drop } else { Full::Block },
        })
    }

    /// The period of the rate, in milliseconds.
    pub fn period(&self) -> u64 {
        let within = self.rate.map_or(0, |rate| rate.within.as_millis());
        u64::try_from(within).unwrap_or(u64::MAX)
    }
}

fn choose<T, const N: usize>(
    message: &Message,
    key: &str,
    choices: [(&str, T); N],
) -> Result<T, String> {
    let value = message.get(key).ok_or(format!("no {key}="))?;
    let chosen = choices.into_iter().find(|(word, _)| *word == value);
    chosen.map(|(_, it)| it).ok_or(format!("{key}= is none of its words"))
}

fn read_rate(text: &str) -> Option<Option<Rate>> {
    if text == "unlimited" {
        return Some(None);
    }
    let (lines, millis) = text.split_once('/')?;
    let (lines, millis) = (lines.parse().ok()?, millis.parse().ok()?);
    (lines > 0 && millis > 0).then_some(Some(Rate { lines, within: Duration::from_millis(millis) }))
}

#[cfg(test)]
pub(in crate::log) mod tests {
    use super::*;

    /// Settings of a log, as few of them as there can be.
    pub(in crate::log) fn plain(name: &str) -> Settings {
        Settings {
            name: name.into(),
            is_stderr: false,
            target: Target::File,
            size: 0,
            keep: 4,
            is_compressed: false,
            timestamps: Timestamps::No,
            is_stripped: false,
            rate: None,
            full: Full::Drop,
        }
    }

    fn message(text: &str) -> Message {
        Message::parse(text.as_bytes()).unwrap()
    }

    const ALL: &str = "do=take\nid=7\nname=web\nstream=stderr\nto=syslog\nsize=1048576\nkeep=4\n\
        compress=yes\ntimestamps=local\nstrip-ansi=yes\nrate=100/60000\nfull=block\n";

    #[test]
    fn settings_are_read_and_kept() {
        let settings = Settings::read(&message(ALL)).unwrap();
        assert_eq!(settings.base(), "web+stderr");
        assert_eq!(settings.period(), 60_000);
        assert_eq!(settings.timestamps, Timestamps::Local);
        assert_eq!(Settings::of(b"web", settings.words()), Some(settings));
        let plain = plain("a");
        assert_eq!(Settings::of(b"a", plain.words()), Some(plain));
    }

    #[test]
    fn nothing_may_be_missing_or_wrong() {
        for line in ALL.lines().skip(2) {
            let (key, _) = line.split_once('=').unwrap();
            assert!(Settings::read(&message(&ALL.replace(line, "a=b"))).is_err(), "no {key}");
            let wrong = ALL.replace(line, &format!("{key}=?"));
            assert!(Settings::read(&message(&wrong)).is_err(), "{key}=?");
        }
        for name in ["..", "a/b", "", ".a", "a b", "web~"] {
            let wrong = ALL.replace("name=web", &format!("name={name}"));
            assert!(Settings::read(&message(&wrong)).is_err(), "{name}");
            assert_eq!(Settings::of(name.as_bytes(), plain("a").words()), None);
        }
        for rate in ["0/1", "1/0", "1", "/", "1/1/1", "-1/1"] {
            let wrong = ALL.replace("100/60000", rate);
            assert!(Settings::read(&message(&wrong)).is_err(), "{rate}");
        }
    }
}
