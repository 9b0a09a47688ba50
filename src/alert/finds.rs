//! What somebody wants to know of in the output of services: lines that have a keyword
//! in them, or any of stderr, with the lines around them. A line is matched when it is
//! whole, however it was written.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Duration;

use super::ear::{Ear, Heard, millis};
use super::event::{Alert, Kind};
use super::folder::Rule;
use super::follow::{Follower, is_about};
use crate::client::say;
use crate::config::grammar::visible;
use crate::protocol::Message;
use crate::supervise::Moment;
use crate::sys;

/// So many lines before and after the one that was looked for are told with it.
const AROUND: usize = 3;

/// So many are told at once; what follows is another message.
const LINES_MAX: usize = 50;

/// So long the lines after it are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// In bytes. More of a line is in the log.
const SHOWN: usize = 500;
/// In letters, of what stands above a message.
const SUMMARY: usize = 200;

/// Something that was found, for one who wanted it.
#[derive(Debug, Clone)]
pub struct Find {
    /// The name of his rule.
    pub rule: String,
    /// What it is to him.
    pub kind: Kind,
    /// Who wrote it.
    pub service: String,
    /// Where to.
    pub is_stderr: bool,
    /// The line.
    pub line: String,
    /// It, and what stands around it.
    pub lines: Vec<String>,
    /// How many of them were looked for.
    pub count: u64,
    log: usize,
    left: usize,
    since: Moment,
}

impl Find {
    /// As a message, of which so many lines are wanted at most.
    fn alert(&self, lines: u32) -> Alert {
        let word: String = self.line.chars().take(SUMMARY).collect();
        let mut text = format!("{}: wrote: {word}", self.service);
        if self.count > 1 {
            text.push_str(&format!(" (and {})", say::count(self.count - 1, "more line")));
        }
        let mut event = Message::new();
        event.add("service", &self.service);
        event.add("stream", if self.is_stderr { "stderr" } else { "stdout" });
        event.add("found", &self.count.to_string());
        let lines = if lines == 0 { &[][..] } else { &self.lines };
        Alert::new(self.kind.word(), &text, millis(), lines, &event)
    }
}

impl Follower {
    /// Hears what services wrote, if somebody wants to know.
    ///
    /// # Errors
    /// It cannot be put into a spool.
    pub fn hear(&mut self) -> io::Result<()> {
        let wants = |rule: &&Rule| {
            let settings = &rule.settings;
            !settings.keyword.is_empty() || settings.event.contains(&Kind::Stderr)
        };
        if !self.rules.iter().any(|rule| wants(&rule)) {
            (self.ear, self.finds) = (None, Finds::default());
            return Ok(());
        }
        let place = &self.place;
        let ear = self.ear.get_or_insert_with(|| Ear::new(place.clone(), false));
        let (rules, finds, now) = (&self.rules, &mut self.finds, sys::monotonic());
        ear.turn(&mut |heard: &Heard<'_>| {
            let service = &heard.source.service;
            let meant = rules.iter().filter(wants);
            let meant = meant.filter(|rule| is_about(&rule.settings, service, heard.tags));
            finds.hear(meant, heard, now);
        });
        for find in self.finds.take(now) {
            let mark = self.mark("found");
            let rule = self.rules.iter().find(|rule| rule.name == find.rule);
            if let Some(rule) = rule {
                self.outlet.send(rule, &find.alert(rule.settings.lines), &mark)?;
            }
        }
        Ok(())
    }
}

/// What was found and is not told yet.
#[derive(Debug, Default)]
pub struct Finds {
    /// The last lines of each log.
    before: HashMap<usize, VecDeque<Vec<u8>>>,
    open: Vec<Find>,
}

fn shown(line: &[u8]) -> String {
    visible(&String::from_utf8_lossy(line))
}

impl Finds {
    /// Hears a line, for those of these rules who want to know of its service.
    pub fn hear<'a>(
        &mut self,
        rules: impl Iterator<Item = &'a Rule>,
        heard: &Heard<'_>,
        now: Moment,
    ) {
        let line = heard.text.strip_suffix(b"\n").unwrap_or(heard.text);
        let cut = line.get(..SHOWN).unwrap_or(line);
        for rule in rules {
            let settings = &rule.settings;
            let is_keyword = settings.keyword.iter().any(|pattern| pattern.0.is_match(line));
            let is_stderr = heard.source.is_stderr && settings.event.contains(&Kind::Stderr);
            let open = self.open.iter_mut();
            let mut open = open.filter(|it| it.log == heard.number && it.rule == rule.name);
            let is_found = is_keyword || is_stderr;
            if let Some(find) = open.find(|it| it.left > 0) {
                find.lines.push(shown(cut));
                find.left = if is_found { AROUND } else { find.left.saturating_sub(1) };
                find.count = find.count.saturating_add(u64::from(is_found));
                if find.lines.len() >= LINES_MAX {
                    find.left = 0;
                }
            } else if is_found {
                let before = self.before.get(&heard.number).into_iter().flatten();
                let mut lines: Vec<String> = before.map(|line| shown(line)).collect();
                lines.push(shown(cut));
                self.open.push(Find {
                    rule: rule.name.clone(),
                    kind: if is_keyword { Kind::Keyword } else { Kind::Stderr },
                    service: heard.source.service.clone(),
                    is_stderr: heard.source.is_stderr,
                    line: shown(cut),
                    lines,
                    count: 1,
                    log: heard.number,
                    left: AROUND,
                    since: now,
                });
            }
        }
        let before = self.before.entry(heard.number).or_default();
        // Its room is used again.
        let mut place =
            if before.len() < AROUND { Vec::new() } else { before.pop_front().unwrap_or_default() };
        place.clear();
        place.extend_from_slice(cut);
        before.push_back(place);
    }

    /// Those that can be told now.
    pub fn take(&mut self, now: Moment) -> Vec<Find> {
        let is_whole = |it: &Find| it.left == 0 || now.since(it.since) >= PATIENCE;
        let (whole, open) = std::mem::take(&mut self.open).into_iter().partition(is_whole);
        self.open = open;
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::keys::parse;
    use crate::client::log::Source;

    fn rule(text: &str) -> Rule {
        let settings = parse(format!("syslog=daemon\n{text}").as_bytes()).unwrap();
        Rule { name: "ops".to_owned(), settings, text: Vec::new() }
    }

    fn found(rule: &Rule, is_stderr: bool, lines: &[&[u8]]) -> Vec<Find> {
        let source = Source { service: "web".to_owned(), is_stderr, ..Source::default() };
        let mut finds = Finds::default();
        let mut all = Vec::new();
        for text in lines {
            let heard = Heard { source: &source, number: 0, text, tags: &[] };
            finds.hear(std::iter::once(rule), &heard, Moment(0));
            all.extend(finds.take(Moment(0)));
        }
        all.extend(finds.take(Moment(1000)));
        all
    }

    #[test]
    fn a_keyword_comes_with_what_stands_around_it() {
        let rule = rule("keyword=disk full\nkeyword=p.nic\n");
        let lines: Vec<Vec<u8>> = (0..9).map(|it| format!("line {it}\n").into_bytes()).collect();
        let mut lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        lines[4] = b"\xffDISK \x00 full: Disk Full\n";
        let all = found(&rule, false, &lines);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].count, all[0].kind, all[0].lines.len()), (1, Kind::Keyword, 7));
        assert_eq!(all[0].lines[0], "line 1");
        assert!(all[0].lines[3].contains("Disk Full"), "{:?}", all[0].lines);
        assert_eq!(all[0].lines[6], "line 7");
        let all = found(&rule, false, &[b"panic\n", b"x\n", b"PANIC"]);
        assert_eq!((all.len(), all[0].count, all[0].lines.len()), (1, 2, 3));
        assert!(found(&rule, true, &[b"nothing\n"]).is_empty());
    }

    #[test]
    fn many_make_few_messages() {
        let rule = rule("event=stderr\n");
        let lines = vec![&b"oops\n"[..]; 120];
        let all = found(&rule, true, &lines);
        assert_eq!(all.iter().map(|it| it.count).collect::<Vec<_>>(), [LINES_MAX as u64, 47, 23]);
        assert!(found(&rule, false, &lines).is_empty(), "that is not stderr");
    }
}
