//! What happened, as those see it who want to be told: a word for it, and a sentence.

use std::time::Duration;

use crate::client::reply::{Death, End};
use crate::client::say;
use crate::config::grammar::visible;
use crate::protocol::{Message, State};

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is given up.
    Failed,
    /// It is held back.
    Quarantine,
    /// It was ended because it was not well, not ready or silent.
    Unhealthy,
    /// It ended without anybody's wish, and not as it should.
    UnexpectedExit,
    /// It ended without anybody's wish.
    Exit,
    /// It ended by order.
    Stop,
    /// Its work is done.
    Done,
    /// It is on its way up.
    Start,
    /// It is up.
    Ready,
    /// Something was said about its file.
    Config,
    /// Its log was emptied, or was not.
    Log,
    /// Its bad time is over.
    Recovered,
    /// More happened than we were told.
    Lost,
    /// Somebody wants a text to be told.
    Notice,
    /// It wrote what somebody looks for.
    Keyword,
    /// It wrote to its stderr.
    Stderr,
}

impl Kind {
    /// The words for them, the gravest first.
    pub const WORDS: [(&'static str, Kind); 16] = [
        ("failed", Kind::Failed),
        ("quarantine", Kind::Quarantine),
        ("unhealthy", Kind::Unhealthy),
        ("unexpected-exit", Kind::UnexpectedExit),
        ("exit", Kind::Exit),
        ("stop", Kind::Stop),
        ("done", Kind::Done),
        ("start", Kind::Start),
        ("ready", Kind::Ready),
        ("config", Kind::Config),
        ("log", Kind::Log),
        ("recovered", Kind::Recovered),
        ("lost", Kind::Lost),
        ("notice", Kind::Notice),
        ("keyword", Kind::Keyword),
        ("stderr", Kind::Stderr),
    ];

    /// What one wants to know who does not say what.
    pub const USUAL: [Kind; 7] = [
        Kind::UnexpectedExit,
        Kind::Quarantine,
        Kind::Failed,
        Kind::Unhealthy,
        Kind::Recovered,
        Kind::Lost,
        Kind::Notice,
    ];

    /// Whether it begins a bad time, or belongs to one.
    pub fn is_bad(self) -> bool {
        matches!(self, Kind::Failed | Kind::Quarantine | Kind::Unhealthy | Kind::UnexpectedExit)
    }

    /// Whether it is found in what services write, of which there may be much.
    pub fn is_written(self) -> bool {
        matches!(self, Kind::Keyword | Kind::Stderr)
    }

    /// The event of this word.
    pub fn read(word: &str) -> Option<Kind> {
        Kind::WORDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind)
    }

    /// As it is written.
    pub fn word(self) -> &'static str {
        Kind::WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| *word)
    }
}

/// What an event of going is, the gravest word first; nothing if nobody asks for it.
pub fn kinds(message: &Message) -> Vec<Kind> {
    if message.get("lost").is_some() {
        return vec![Kind::Lost];
    }
    match message.get("event") {
        Some("config") => return vec![Kind::Config],
        Some("log") => return vec![Kind::Log],
        _ => {}
    }
    let (Some(was), Some(state)) = (word(message, "was"), word(message, "state")) else {
        return Vec::new();
    };
    let mut kinds = Vec::new();
    let mut add = |is_so, kind| kinds.extend(Some(kind).filter(|_| is_so));
    add(state == State::Failed, Kind::Failed);
    add(state == State::Quarantined, Kind::Quarantine);
    if let Some(death) = Death::read(message, "") {
        let is_ill = ["health", "watchdog", "unready"].map(Some);
        add(is_ill.contains(&death.strike.as_deref()), Kind::Unhealthy);
        let is_good = death.end == End::Exit(0) || state == State::Done;
        let is_unexpected = !death.ordered && (!is_good || death.strike.is_some());
        add(is_unexpected, Kind::UnexpectedExit);
        add(!death.ordered, Kind::Exit);
        add(death.ordered, Kind::Stop);
    } else {
        add(was != State::Down && state == State::Down, Kind::Stop);
    }
    add(state == State::Done, Kind::Done);
    add(state == State::Starting && was != State::Starting, Kind::Start);
    add(state == State::Up && was != State::Up, Kind::Ready);
    kinds
}

fn word(message: &Message, key: &str) -> Option<State> {
    State::read(message.get(key)?)
}

/// One sentence about it, which fits on a line.
pub fn sentence(message: &Message) -> String {
    if let Some(lost) = message.number("lost") {
        return format!("{} missed: too many at once, or we came too late", count(lost));
    }
    let service = message.get("service").unwrap_or("going");
    if let Some(text) = message.get("message") {
        return visible(&format!("{service}: {text}"));
    }
    if let Some(log) = message.get("log") {
        return format!("{service}: log {log}");
    }
    let Some(state) = message.get("state") else {
        return format!("{service}: {}", message.get("event").unwrap_or("something happened"));
    };
    let mut text = format!("{service}: {state}");
    if let Some(death) = Death::read(message, "") {
        let how = say::ended(&death.end);
        text = format!("{service}: {how} after {}, {state}", say::span(death.ran));
    }
    let is_held = State::read(state) == Some(State::Quarantined);
    if let Some(next) = message.number("next-ms").filter(|_| is_held) {
        text.push_str(&format!(" (next try in {})", say::span(Duration::from_millis(next))));
    }
    visible(&text)
}

fn count(lost: u64) -> String {
    let verb = if lost == 1 { "was" } else { "were" };
    format!("{} {verb}", say::count(lost, "event"))
}

/// One message for somebody, as it waits in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The name of its file, which no other one ever has.
    pub id: String,
    /// All of it: `at`, `kind`, `summary`, each `line` of output, and then what going
    /// said.
    pub facts: Message,
}

impl Alert {
    /// Of what happened at this time, in milliseconds since 1970.
    pub fn new(kind: &str, summary: &str, at: u64, lines: &[String], event: &Message) -> Alert {
        let mut facts = Message::new();
        facts.add("at", &at.to_string());
        facts.add("kind", kind);
        facts.add("summary", summary);
        for line in lines {
            facts.add("line", line);
        }
        for (key, value) in event.pairs() {
            facts.add(key, value);
        }
        Alert { id: String::new(), facts }
    }

    /// A value of it.
    pub fn get(&self, key: &str) -> &str {
        self.facts.get(key).unwrap_or_default()
    }

    /// When it was, as RFC 3339 has it.
    pub fn time(&self) -> String {
        say::moment(self.facts.number("at").unwrap_or(0))
    }

    /// Whether somebody should look at it soon.
    pub fn is_grave(&self) -> bool {
        matches!(self.get("kind"), "failed" | "quarantine" | "unhealthy" | "unexpected-exit")
    }
}

/// What stands above several of them.
pub fn subject(alerts: &[Alert], host: &str) -> String {
    let what = match alerts {
        [one] => one.get("summary").to_owned(),
        all => {
            let mut names: Vec<&str> = all.iter().map(|it| it.get("service")).collect();
            names.sort_unstable();
            names.dedup();
            names.retain(|name| !name.is_empty());
            let some = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            let more = if names.len() > 5 { ", ..." } else { "" };
            format!("{} events: {some}{more}", all.len())
        }
    };
    format!("[{host}] {what}")
}

/// In bytes. More is in the log.
const TEXT_MAX: usize = 24 * 1024;

/// All there is to say about them, for people.
pub fn text(alerts: &[Alert]) -> String {
    let mut text = String::new();
    for alert in alerts {
        if text.len() > TEXT_MAX {
            text.push_str("... and more, in going's log.\n");
            break;
        }
        text.push_str(&format!("{} {}\n", alert.time(), alert.get("summary")));
        let mut lines = alert.facts.all("line").peekable();
        if lines.peek().is_some() {
            text.push_str(match alert.get("kind") {
                "keyword" | "stderr" => "  It wrote:\n",
                "notice" => "",
                _ => "  It wrote last:\n",
            });
        }
        for line in lines {
            text.push_str(&format!("    {line}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(lines: &str) -> Message {
        Message::parse(lines.as_bytes()).unwrap()
    }

    fn words(lines: &str) -> String {
        kinds(&event(lines)).into_iter().map(Kind::word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn events_have_the_words_by_which_they_are_asked_for() {
        for (lines, expected) in [
            ("service=a\nwas=waiting\nstate=starting\npid=1", "start"),
            ("service=a\nwas=starting\nstate=up\npid=1", "ready"),
            ("service=a\nwas=up\nstate=stopping\npid=1", ""),
            ("service=a\nwas=stopping\nstate=down\nsignal=TERM\nran-ms=1\nordered=yes", "stop"),
            ("service=a\nwas=up\nstate=waiting\nexit=0\nran-ms=9000", "exit"),
            ("service=a\nwas=up\nstate=waiting\nexit=1\nran-ms=9000", "unexpected-exit exit"),
            (
                "service=a\nwas=up\nstate=quarantined\nexit=0\nran-ms=9\nstrike=short",
                "quarantine unexpected-exit exit",
            ),
            (
                "service=a\nwas=stopping\nstate=failed\nsignal=KILL\nran-ms=9\nstrike=health",
                "failed unhealthy unexpected-exit exit",
            ),
            ("service=a\nwas=up\nstate=done\nexit=3\nran-ms=9", "exit done"),
            ("service=a\nevent=config\nmessage=x", "config"),
            ("service=a\nevent=log\nlog=cleared", "log"),
            ("lost=3", "lost"),
            ("nonsense=3", ""),
        ] {
            assert_eq!(words(lines), expected, "{lines}");
        }
    }

    #[test]
    fn sentences_fit_on_a_line() {
        for (lines, expected) in [
            (
                "service=a\nwas=up\nstate=quarantined\nexit=3\nran-ms=9\nnext-ms=1500",
                "a: exit status 3 after 9ms, quarantined (next try in 1.5s)",
            ),
            ("service=a\nwas=starting\nstate=up\nnext-ms=5", "a: up"),
            ("service=a\nevent=config\nmessage=x\\ny", "a: x\\ny"),
            ("lost=1", "1 event was missed: too many at once, or we came too late"),
        ] {
            assert_eq!(sentence(&event(lines)), expected);
        }
    }

    #[test]
    fn several_are_told_in_one_message() {
        let alert = |name: &str| {
            let event = event(&format!("service={name}"));
            Alert::new("failed", &format!("{name}: failed"), 0, &["x".to_owned()], &event)
        };
        assert_eq!(subject(&[alert("a")], "h"), "[h] a: failed");
        assert_eq!(subject(&[alert("b"), alert("a"), alert("b")], "h"), "[h] 3 events: a, b");
        let one = "1970-01-01T00:00:00.000Z a: failed\n  It wrote last:\n    x\n";
        assert_eq!(text(&[alert("a")]), one);
    }
}
