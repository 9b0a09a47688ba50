//! What goingctl wants of us: to tell somebody a text, to show whom we tell what, and
//! to be quiet for a while.

use super::door;
use super::ear::millis;
use super::event::{Alert, Kind};
use super::folder::Rule;
use super::follow::Follower;
use super::outlet::FOREVER;
use super::settings::Settings;
use crate::config::grammar::{show, visible};
use crate::config::nearest::nearest;
use crate::config::values::hint;
use crate::protocol::Message;
use crate::sys;

/// In letters. The rest is in the text.
const SUMMARY: usize = 200;

impl Follower {
    /// Answers everybody who waits for it.
    pub fn serve(&mut self) {
        while let Some((stream, message)) = self.door.as_ref().and_then(door::Door::hear) {
            let (mut blocks, why) = match self.perform(&message) {
                Ok(blocks) => (blocks, None),
                Err(why) => (Vec::new(), Some(why)),
            };
            let mut last = Message::new();
            last.add("result", if why.is_none() { "ok" } else { "error" });
            if let Some(why) = why {
                last.add("message", &why);
            }
            blocks.push(last);
            door::answer(stream, &blocks);
        }
    }

    fn perform(&mut self, message: &Message) -> Result<Vec<Message>, String> {
        self.look();
        let names: Vec<&str> = message.all("target").collect();
        for name in &names {
            self.find(name)?;
        }
        match message.get("command") {
            Some("notify") => self.notify(message.get("text").unwrap_or_default(), &names),
            Some("alerts") => Ok(self.blocks(&names)),
            Some("mute") => {
                let span = message.number("for-ms");
                let until = span.map_or(FOREVER, |span| millis().saturating_add(span));
                self.mute(&names, Some(until))
            }
            Some("unmute") => self.mute(&names, None),
            _ => Err("going-alert does not know that; is it older than goingctl?".to_owned()),
        }
    }

    fn find(&self, name: &str) -> Result<&Rule, String> {
        let found = self.rules.iter().find(|rule| rule.name == name);
        found.ok_or_else(|| {
            let names = self.rules.iter().map(|rule| &*rule.name);
            hint(format!("no target {}", show(name)), nearest(name, names))
        })
    }

    fn mute(&mut self, names: &[&str], until: Option<u64>) -> Result<Vec<Message>, String> {
        for name in names {
            let done = self.outlet.mute(name, until);
            done.map_err(|error| format!("{name}: {}", sys::explain(&error)))?;
        }
        Ok(self.blocks(names))
    }

    /// Has a text told to these; to all who want such, if none is named.
    fn notify(&mut self, text: &str, names: &[&str]) -> Result<Vec<Message>, String> {
        let mut lines = text.lines().map(visible);
        let first = lines.next().filter(|line| !line.trim().is_empty());
        let first = first.ok_or("there is nothing to tell")?;
        let summary: String = first.chars().take(SUMMARY).collect();
        let lines: Vec<String> =
            if summary == first { lines.collect() } else { text.lines().map(visible).collect() };
        let alert = Alert::new(Kind::Notice.word(), &summary, millis(), &lines, &Message::new());
        let mark = self.mark("notice");
        let mut told = Vec::new();
        for rule in &self.rules {
            let is_quiet = self.outlet.muted_until(&rule.name).is_some();
            let is_meant = match names {
                [] => rule.settings.event.contains(&Kind::Notice) && !is_quiet,
                names => names.contains(&&*rule.name),
            };
            if is_meant {
                let done = self.outlet.put(rule, &alert, &mark);
                done.map_err(|error| format!("{}: {}", rule.name, sys::explain(&error)))?;
                let mut block = Message::new();
                block.add("target", &rule.name);
                told.push(block);
            }
        }
        if told.is_empty() { Err("nobody is told of notices".to_owned()) } else { Ok(told) }
    }

    fn blocks(&self, names: &[&str]) -> Vec<Message> {
        let mut blocks = Vec::new();
        for bell in self.outlet.bells() {
            let name = bell.name();
            if !names.is_empty() && !names.contains(&name) {
                continue;
            }
            let rule = self.rules.iter().find(|rule| rule.name == name);
            let (waiting, refused) = bell.spool().counts().unwrap_or_default();
            // Of one that is gone only what waits is of interest.
            if rule.is_none() && waiting + refused == 0 {
                continue;
            }
            let mut block = Message::new();
            block.add("target", name);
            block.add("to", rule.map_or("nobody, its file is gone", |it| way(&it.settings)));
            block.add("waiting", &waiting.to_string());
            block.add("refused", &refused.to_string());
            match self.outlet.muted_until(name) {
                None => {}
                Some(FOREVER) => block.add("muted", "yes"),
                Some(until) => {
                    block.add("muted", "yes");
                    block.add("muted-ms", &until.saturating_sub(millis()).to_string());
                }
            }
            if let Some(trouble) = bell.trouble() {
                block.add("trouble", &trouble);
            }
            blocks.push(block);
        }
        blocks
    }
}

/// By which way a target is told; not where, which may be secret.
fn way(settings: &Settings) -> &'static str {
    if settings.webhook.is_some() {
        "webhook"
    } else if settings.syslog.is_some() {
        "syslog"
    } else if settings.mail.is_empty() {
        "command"
    } else {
        "mail"
    }
}
