//! Services whose own configuration is watched. Whatever inotify tells is only the
//! doorbell, as with our own directory: after a moment of quiet the content is
//! looked at, and only another content is a change. Of services without `watch`
//! there is nothing in here.

mod contents;

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::Daemon;
use super::reload::Due;
use super::report::{Level, report};
use crate::config::Spec;
use crate::config::changes::Reaction;
use crate::supervise::{Event, Slot, State, Stay, Want};
use crate::sys;

/// Below those of the logger and of sockets.
const WATCHING: usize = super::logs::LOGGER - 64;

/// All that is watched.
pub(super) struct Watching {
    inotify: Inotify,
    services: Vec<Watched>,
    due: Option<Due>,
    /// What an earlier going had seen: name of the service and digests, a line each.
    before: String,
}

/// A service whose configuration is watched.
struct Watched {
    slot: Slot,
    /// Of each of its paths.
    digests: Vec<u64>,
    heard: Vec<Heard>,
    is_rung: bool,
    /// Why it could not be watched was said.
    is_told: bool,
}

/// What is listened to: something as such, or one name in a directory.
type Heard = (WatchDescriptor, Option<Box<OsStr>>);

/// Looks at all paths, and listens to what can change them; what it is that cannot
/// be listened to, and why.
fn look(
    inotify: &Inotify,
    paths: &[String],
) -> (Vec<u64>, Vec<Heard>, Option<(PathBuf, io::Error)>) {
    let (mut heard, mut trouble) = (Vec::<Heard>::new(), None);
    let mut listen = |path: &Path, mask: WatchMask, name: Option<&OsStr>| {
        match inotify.watches().add(path, mask | WatchMask::MASK_ADD) {
            Ok(watch) => {
                let new = (watch, name.map(Box::from));
                if !heard.contains(&new) {
                    heard.push(new);
                }
            }
            // What is not there is listened for in its directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => trouble = trouble.take().or(Some((path.to_owned(), error))),
        }
    };
    let digests = paths.iter().map(|path| contents::look(Path::new(path), &mut listen)).collect();
    (digests, heard, trouble)
}

impl Watching {
    fn new(poll: &mio::Poll, before: String) -> io::Result<Watching> {
        let inotify = Inotify::init()?;
        let raw = inotify.as_raw_fd();
        poll.registry().register(&mut SourceFd(&raw), Token(WATCHING), Interest::READABLE)?;
        Ok(Watching { inotify, services: Vec::new(), due: None, before })
    }

    /// When it has been quiet for long enough.
    pub(super) fn wake_at(&self) -> Option<crate::supervise::Moment> {
        self.due.map(|due| due.at)
    }

    /// Hears the doorbells.
    fn hear(&mut self) -> bool {
        // Space for three events with the longest names there can be (inotify(7)).
        let mut buffer = [0; 1024];
        while let Ok(events) = self.inotify.read_events(&mut buffer) {
            for event in events {
                let is_lost = event.mask.contains(EventMask::Q_OVERFLOW);
                let is_it = |(watch, name): &Heard| {
                    let is_named = name.as_deref() == event.name || name.is_none();
                    *watch == event.wd && (is_named || event.mask.contains(EventMask::IGNORED))
                };
                for service in &mut self.services {
                    service.is_rung |= is_lost || service.heard.iter().any(is_it);
                }
            }
        }
        self.services.iter().any(|it| it.is_rung)
    }

    /// Stops listening to what nobody listens to any more.
    fn release(&mut self, old: Vec<Heard>) {
        for (watch, _) in old {
            let is_needed =
                self.services.iter().flat_map(|it| &it.heard).any(|(it, _)| *it == watch);
            if !is_needed {
                // What is gone has been removed already.
                let _ = self.inotify.watches().remove(watch);
            }
        }
    }

    fn position(&self, slot: Slot) -> Option<usize> {
        self.services.iter().position(|it| it.slot == slot)
    }
}

impl Daemon {
    /// Takes what is there now as what the service knows, for it is about to read
    /// it; or lets go of a service that watches nothing any more.
    pub(super) fn watch_files(&mut self, slot: Slot, spec: &Spec) {
        let paths = &spec.changes.watch;
        if paths.is_empty() {
            return self.unwatch(slot);
        }
        if self.watching.is_none() {
            match Watching::new(&self.poll, String::new()) {
                Ok(watching) => self.watching = Some(Box::new(watching)),
                Err(error) => {
                    let path = PathBuf::from(paths.first().map_or("", String::as_str));
                    return self.tell_unwatched(slot, &path, &error);
                }
            }
        }
        let Some(watching) = &mut self.watching else { return };
        let (digests, heard, trouble) = look(&watching.inotify, paths);
        let mut watched = Watched { slot, digests, heard, is_rung: false, is_told: false };
        let mut old = Vec::new();
        match watching.services.iter_mut().find(|it| it.slot == slot) {
            Some(it) => {
                watched.is_told = it.is_told;
                old = std::mem::replace(it, watched).heard;
            }
            None => watching.services.push(watched),
        }
        watching.release(old);
        self.tell_trouble(slot, trouble);
        self.write_watched();
    }

    /// Takes up the watch of a service that an earlier going kept; a change since that
    /// going looked is a change.
    pub(super) fn rewatch_files(&mut self, slot: Slot, spec: &Spec) {
        if spec.changes.watch.is_empty() {
            return;
        }
        let before = match &self.watching {
            Some(watching) => watching.before.clone(),
            None => {
                self.watched_file().and_then(|it| fs::read_to_string(it).ok()).unwrap_or_default()
            }
        };
        self.watch_files(slot, spec);
        let Some(service) = self.supervisor.get(slot) else { return };
        let mut lines = before.lines().filter_map(|line| line.split_once(' '));
        let known = lines.find(|(name, _)| **name == *service.name).map(|(_, digests)| digests);
        let Some(watching) = &mut self.watching else { return };
        let watched = watching.services.iter_mut().find(|it| it.slot == slot);
        if let (Some(known), Some(watched)) = (known, watched) {
            let known: Vec<_> = known.split(' ').map_while(|it| it.parse().ok()).collect();
            // With other paths than those, there is nothing to compare.
            if known.len() == watched.digests.len() && known != watched.digests {
                (watched.digests, watched.is_rung) = (known, true);
                watching.due = Some(Due::ring(watching.due, self.now));
            }
        }
        watching.before = before;
    }

    /// Watches nothing of a service any more.
    pub(super) fn unwatch(&mut self, slot: Slot) {
        let Some(watching) = &mut self.watching else { return };
        let Some(index) = watching.position(slot) else { return };
        let old = watching.services.swap_remove(index).heard;
        watching.release(old);
        self.write_watched();
    }

    /// Hears what may have changed, and looks at it when it is quiet.
    pub(super) fn look_at_changes(&mut self) {
        let Some(watching) = &mut self.watching else { return };
        watching.before = String::new();
        if self.heard.contains(&WATCHING) && watching.hear() {
            watching.due = Some(Due::ring(watching.due, self.now));
        }
        if self.supervisor.is_closing() || watching.due.is_none_or(|due| due.at > self.now) {
            return;
        }
        watching.due = None;
        let rung = watching.services.iter_mut();
        let rung = rung.filter_map(|it| std::mem::take(&mut it.is_rung).then_some(it.slot));
        let rung: Vec<_> = rung.collect();
        for slot in rung {
            self.look_at_change(slot);
        }
    }

    /// Looks at what a service watches, and acts if it has changed.
    fn look_at_change(&mut self, slot: Slot) {
        let Some(spec) = self.spec(slot) else { return };
        let Some(watching) = &mut self.watching else { return };
        let (digests, heard, trouble) = look(&watching.inotify, &spec.changes.watch);
        let Some(index) = watching.position(slot) else { return };
        let Some(watched) = watching.services.get_mut(index) else { return };
        let mut paths = digests.iter().zip(&watched.digests).zip(&spec.changes.watch);
        let changed = paths.find(|((new, old), _)| new != old).map(|(_, path)| path.as_str());
        watched.digests = digests;
        let old = std::mem::replace(&mut watched.heard, heard);
        watching.release(old);
        self.tell_trouble(slot, trouble);
        if let Some(path) = changed {
            self.react(slot, path, &spec);
            self.write_watched();
        }
    }

    /// Does what is to be done when a service's configuration is another.
    fn react(&mut self, slot: Slot, path: &str, spec: &Spec) {
        let Some(service) = self.supervisor.get(slot) else { return };
        if service.want == Want::Down || service.stay != Stay::Here {
            return;
        }
        let (name, state) = (service.name.clone(), service.state);
        let is_up = matches!(state, State::Up { .. });
        let is_held = matches!(state, State::Quarantined { .. } | State::Failed);
        let is_restart = spec.changes.reaction == Reaction::Restart;
        let (event, fact) = match is_restart {
            // It may be what it failed for.
            _ if is_held => (Some(Event::Start), "tried again".to_owned()),
            true if is_up => (Some(Event::Restart), "restarted".to_owned()),
            true if state == State::Done => (Some(Event::Restart), "started".to_owned()),
            false if is_up => (None, self.send_reload(slot, spec)),
            // It has not read it yet, or is on its way out.
            _ => return,
        };
        self.tell_file(Level::Info, &name, &format!("{path} changed, {fact}"));
        if let Some(event) = event {
            self.supervisor.step(slot, event, self.now);
        }
    }

    /// Tells a service to read its configuration again; what came of it.
    pub(super) fn send_reload(&mut self, slot: Slot, spec: &Spec) -> String {
        let pid = self.supervisor.get(slot).and_then(|it| it.state.pid());
        let (Some(pid), Some(signal)) = (pid, spec.changes.signal) else { return String::new() };
        match self.legacy.send(pid, signal, false) {
            Ok(()) => format!("{signal} sent"),
            Err(error) => format!("can't send {signal}: {}", sys::explain(&error)),
        }
    }

    /// An operator's order to read it again.
    pub(super) fn order_hup(&mut self, slot: Slot) -> (&'static str, &'static str) {
        let Some(signal) = self.spec(slot).map(|spec| spec.changes.signal) else {
            return ("failed", "it is gone");
        };
        let is_up =
            self.supervisor.get(slot).is_some_and(|it| matches!(it.state, State::Up { .. }));
        match signal {
            None => ("failed", "reload-signal=none: it cannot read its configuration again"),
            Some(signal) if is_up => self.order_signal(slot, signal),
            Some(_) => ("failed", "it does not run"),
        }
    }

    fn tell_trouble(&mut self, slot: Slot, trouble: Option<(PathBuf, io::Error)>) {
        let watching = self.watching.as_mut();
        let watched = watching.and_then(|it| it.services.iter_mut().find(|it| it.slot == slot));
        let Some(watched) = watched else { return };
        let was_told = std::mem::replace(&mut watched.is_told, trouble.is_some());
        if let Some((path, error)) = trouble.filter(|_| !was_told) {
            self.tell_unwatched(slot, &path, &error);
        }
    }

    fn tell_unwatched(&mut self, slot: Slot, path: &Path, error: &io::Error) {
        let Some(service) = self.supervisor.get(slot) else { return };
        let is_full = error.kind() == io::ErrorKind::StorageFull;
        let hint = if is_full { "; raise fs.inotify.max_user_watches" } else { "" };
        let (name, path, why) = (&service.name, path.display(), sys::explain(error));
        let so = "a change goes unnoticed";
        report!(self.reporter, Level::Warning, "{name}: can't watch {path}: {why}, so {so}{hint}");
    }

    fn watched_file(&self) -> Option<PathBuf> {
        self.server.as_ref().map(|server| server.run_directory.path.join("watched"))
    }

    /// Writes down what was seen, for the next going to compare.
    fn write_watched(&self) {
        let (Some(file), Some(watching)) = (self.watched_file(), &self.watching) else { return };
        let mut text = String::new();
        for watched in &watching.services {
            let Some(service) = self.supervisor.get(watched.slot) else { continue };
            text.push_str(&service.name);
            for digest in &watched.digests {
                let _ = write!(text, " {digest}");
            }
            text.push('\n');
        }
        // Without it a change goes unnoticed if we are killed just then, no more.
        let draft = file.with_file_name("watched.new");
        let _ = fs::write(&draft, text).and_then(|()| fs::rename(&draft, &file));
    }
}
