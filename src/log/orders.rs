//! What going asks for. A message that makes no sense is reported and changes
//! nothing; a descriptor that is no pipe is closed.

use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Token};
use nix::libc;
use nix::sys::stat::fstat;

use super::journal::{Head, Kind};
use super::news::Level;
use super::rotate;
use super::settings::{Settings, Target};
use super::streams::Stream;
use super::wire::Incoming;
use super::{FIRST_CONNECTION, FIRST_STREAM, Logger, clock};
use crate::protocol::Message;
use crate::sys;

/// Longer marks are cut.
const TEXT_MAX: usize = 1000;

impl Logger {
    /// Does what a message says.
    pub(super) fn obey(&mut self, incoming: Incoming) {
        let done = match incoming {
            Incoming::Malformed(why) => Err(why),
            Incoming::Lacking(id) => {
                // Going keeps it, and offers it again.
                let mut lacking = Message::new();
                lacking.add("lacking", &id.to_string());
                self.wire.answer(&lacking);
                Ok(())
            }
            Incoming::Message(message, fds) => match message.get("do") {
                Some("take" | "set") => self.take(&message, fds),
                Some("mark") => self.mark(&message),
                Some("clear") => self.clear(&message),
                Some("reopen") => {
                    self.writer.reopen(self.now);
                    Ok(())
                }
                _ => Err("unknown do=".to_owned()),
            },
        };
        if let Err(why) = done {
            self.writer.files.news.add(Level::Warning, format!("refused a message: {why}"));
        }
    }

    /// The place of a stream.
    fn find(&self, id: u64) -> Option<usize> {
        self.streams.iter().position(|it| it.as_ref().is_some_and(|it| it.id == id))
    }

    fn take(&mut self, message: &Message, mut fds: Vec<OwnedFd>) -> Result<(), String> {
        let id = message.number("id").filter(|id| *id > 0).ok_or("no number in id=")?;
        let settings = Settings::read(message)?;
        if fds.len() > 1 {
            return Err("more than one descriptor".to_owned());
        }
        if let Some(Some(stream)) = self.find(id).and_then(|it| self.streams.get_mut(it)) {
            if message.get("guess").is_none() {
                stream.settings = settings;
            }
            // There may be something to do now which could not be done before.
            (stream.is_ready, stream.wake_at) = (true, None);
            self.close_unused();
            return Ok(());
        }
        let pipe = fds.pop().ok_or("no descriptor came with it")?;
        let stat = fstat(&pipe).map_err(|errno| errno.to_string())?;
        let is_pipe = stat.st_mode & libc::S_IFMT == libc::S_IFIFO;
        if !is_pipe || stat.st_ino != id {
            return Err("its descriptor is not that pipe".to_owned());
        }
        let free = self.streams.iter().position(Option::is_none);
        let place = free.unwrap_or(self.streams.len());
        let (fd, token) = (pipe.as_raw_fd(), FIRST_STREAM.saturating_add(place));
        if token >= FIRST_CONNECTION {
            return Err("there are too many streams".to_owned());
        }
        let registry = self.poll.registry();
        let done = registry.register(&mut SourceFd(&fd), Token(token), Interest::READABLE);
        done.map_err(|error| sys::explain(&error))?;
        // Without a size it is others who rotate, and their backups are theirs.
        if settings.is_compressed && settings.size > 0 && settings.target == Target::File {
            self.compressor.add(settings.base(), settings.keep);
        }
        self.ended.retain(|(ended, _)| *ended != id);
        let stream = Some(Stream::new(id, settings, pipe));
        match self.streams.get_mut(place) {
            Some(free) => *free = stream,
            None => self.streams.push(stream),
        }
        // What is said of its beginning comes before all that is in it.
        if message.get("text").is_some() { self.note(id, message) } else { Ok(()) }
    }

    /// A line of our own, after all that is in the pipe.
    fn mark(&mut self, message: &Message) -> Result<(), String> {
        let id = message.number("id").ok_or("no number in id=")?;
        if let Some(place) = self.find(id) {
            self.drain(place);
        }
        self.note(id, message)
    }

    /// A line of our own, now.
    fn note(&mut self, id: u64, message: &Message) -> Result<(), String> {
        let text: String = message.get("text").ok_or("no text=")?.chars().take(TEXT_MAX).collect();
        let text = text.replace(char::is_control, "?");
        let place = self.find(id);
        let stream = place.and_then(|place| self.streams.get_mut(place)?.as_mut());
        let settings = match &stream {
            Some(stream) => stream.settings.clone(),
            // It was read to its end before, and going may know that, too.
            None => match self.ended.iter().find(|(ended, _)| *ended == id) {
                Some((_, settings)) => settings.clone(),
                None => Settings::read(message)?,
            },
        };
        // No pipe has this number, and no record may be without one.
        let id = if id == 0 { u64::MAX } else { id };
        match (settings.target, stream) {
            // In the middle of a line that somebody still writes: it comes when that
            // line has ended.
            (Target::File, Some(stream)) if self.writer.is_in_line(stream.id) => {
                stream.notes.push_back(text);
                if stream.notes.len() > 8 {
                    stream.notes.pop_front();
                }
            }
            (Target::File, stream) => {
                let (is_open, length) = (stream.is_some(), text.len());
                let (now, millis) = (self.now, clock::now());
                let head = Head { id, kind: Kind::Note, length, millis, now, settings };
                let _ = self.writer.say(&head, &text);
                if !is_open {
                    // It ended before, and its record with it.
                    let head = Head { kind: Kind::End, length: 0, ..head };
                    let _ = self.writer.say(&head, "");
                    self.close_unused();
                }
            }
            (Target::Syslog, _) => {
                let line = format!("--- {text}");
                let (name, is_stderr) = (&settings.name, settings.is_stderr);
                self.syslog.send(name, is_stderr, line.as_bytes(), self.now);
            }
            (Target::Console, Some(stream)) => {
                stream.notes.push_back(text);
                stream.is_ready = true;
                if stream.notes.len() > 8 {
                    stream.notes.pop_front();
                }
            }
            (Target::Console, None) => {
                if self.console.is_free() {
                    let line = format!("{}: --- {text}\n", settings.name);
                    self.console.add(line.as_bytes(), id, 0);
                    self.console.flush();
                }
            }
        }
        Ok(())
    }

    /// Empties the logs of a service and removes its backups.
    fn clear(&mut self, message: &Message) -> Result<(), String> {
        let name = message.get("name").ok_or("no name=")?;
        for place in 0..self.streams.len() {
            let stream = self.streams.get(place).and_then(Option::as_ref);
            if stream.is_some_and(|it| &*it.settings.name == name) {
                self.drain(place);
            }
        }
        let mut answer = Message::new();
        match self.clear_files(name) {
            Ok(()) => {
                answer.add("did", "clear");
                answer.add("name", name);
            }
            Err(why) => {
                answer.add("failed", "clear");
                answer.add("name", name);
                answer.add("why", &why);
            }
        }
        self.wire.answer(&answer);
        Ok(())
    }

    fn clear_files(&mut self, name: &str) -> Result<(), String> {
        use crate::config::names::{Name, judge};
        if judge(name.as_bytes()) != Name::Service {
            return Err("no name of a service".to_owned());
        }
        for base in [name.to_owned(), format!("{name}+stderr")] {
            let done = self.writer.files.empty(&base).and_then(|()| {
                let directory = self.writer.files.directory.clone();
                rotate::remove_backups(self.writer.files.dir()?, &directory, &base)
            });
            done.map_err(|error| format!("{base}.log: {}", sys::explain(&error)))?;
        }
        Ok(())
    }
}
