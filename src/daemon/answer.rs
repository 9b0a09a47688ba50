//! What the requests of clients mean, and who may ask for what: everybody may see
//! how things are, root and going's own user may do all, others only what concerns
//! a service that is theirs. Who asks is looked at for each request.

use std::mem::replace;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use super::Daemon;
use super::confdir::Directory;
use super::logger;
use super::server::Client;
use super::status::put_outcome;
use crate::config::instances::is_of;
use crate::config::nearest::nearest;
use crate::config::{Signal, Spec, parse};
use crate::protocol::{self, Code, Command, Request, pattern, put, put_number};
use crate::supervise::{Event, Slot, State, Stay, Want};

/// What a client is in the middle of.
pub(super) enum Work {
    /// Nothing: its next request is read.
    None,
    /// Services to be told of, the last first; whether in detail, and whether
    /// some of those asked for are unknown.
    List { targets: Vec<Target>, is_why: bool, has_unknown: bool },
    /// Events after this number, and whether for ever.
    Events { after: u64, follow: bool },
    /// An upgrade, of which it is to be told.
    Upgrade,
}

/// What a name can stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A service.
    Service(Slot),
    /// A file that could never be used.
    Refused(String),
    /// A service whose file is set aside.
    Disabled(String),
}

impl Work {
    /// Whether it waits for events and has not heard of this one.
    pub(super) fn awaits(&self, serial: u64) -> bool {
        matches!(self, Work::Events { after, .. } if *after < serial) || self.is_upgrade()
    }

    /// Whether it goes on until the client leaves.
    pub(super) fn is_endless(&self) -> bool {
        matches!(self, Work::Events { follow: true, .. }) || self.is_upgrade()
    }

    /// Whether it waits for an upgrade.
    pub(super) fn is_upgrade(&self) -> bool {
        matches!(self, Work::Upgrade)
    }
}

/// Whether only root and going's own user may ask for it; for the rest it depends
/// on the service.
fn needs_all(command: Command) -> bool {
    match command {
        Command::Enable
        | Command::Disable
        | Command::Reload
        | Command::Shutdown
        | Command::ReopenLogs
        | Command::Upgrade => true,
        Command::Status
        | Command::Why
        | Command::Start
        | Command::Stop
        | Command::Restart
        | Command::Retry
        | Command::Signal
        | Command::Hup
        | Command::Events
        | Command::Myself
        | Command::Ping
        | Command::Version
        | Command::ClearLog
        | Command::Send => false,
    }
}

impl Daemon {
    /// Acts on a request and writes the reply, or sets it up as work.
    pub(super) fn answer(&mut self, client: &mut Client, request: Request) {
        if needs_all(request.command) && !client.may_all() {
            let word = request.command.word();
            let message = format!("only root and going's own user may {word}");
            return self.refuse_request(client, Code::Denied, &message);
        }
        match request.command {
            Command::Status | Command::Why => self.answer_status(client, &request),
            Command::Start
            | Command::Stop
            | Command::Restart
            | Command::Retry
            | Command::Signal
            | Command::Hup
            | Command::ClearLog
            | Command::Send => self.answer_order(client, &request),
            Command::ReopenLogs => {
                self.reopen_logs();
                self.finish(client);
            }
            Command::Enable | Command::Disable => self.answer_file(client, &request),
            Command::Reload => self.answer_reload(client, request.dry_run),
            Command::Events => {
                let serial = self.events_ring.serial();
                let now = if request.follow { serial } else { 0 };
                // A number from the future is one of a going before this one.
                let since = request.since.map(|since| if since > serial { 0 } else { since });
                let after = since.unwrap_or(now);
                client.work = Work::Events { after, follow: request.follow };
            }
            Command::Myself => self.answer_self(client),
            Command::Ping => self.finish(client),
            Command::Upgrade => self.answer_upgrade(client),
            Command::Version => {
                put(&mut client.out, "version", env!("CARGO_PKG_VERSION"));
                protocol::end(&mut client.out);
                self.finish(client);
            }
            Command::Shutdown => {
                self.finish(client);
                // Who asks again waits impatiently, and did not ask for a massacre.
                if !self.supervisor.is_closing() {
                    self.close("A client");
                }
            }
        }
    }

    /// The end of a reply when all went well.
    pub(super) fn finish(&self, client: &mut Client) {
        self.put_done(&mut client.out);
    }

    pub(super) fn put_done(&self, out: &mut Vec<u8>) {
        put(out, "result", "ok");
        put_number(out, "serial", self.events_ring.serial());
        protocol::end(out);
    }

    /// The end of a reply when it did not.
    pub(super) fn refuse_request(&self, client: &mut Client, code: Code, message: &str) {
        put(&mut client.out, "result", "error");
        put(&mut client.out, "code", code.word());
        put(&mut client.out, "message", message);
        put_number(&mut client.out, "serial", self.events_ring.serial());
        protocol::end(&mut client.out);
    }

    pub(super) fn finish_known(&self, client: &mut Client, has_unknown: bool) {
        if has_unknown {
            self.refuse_request(client, Code::UnknownService, "no such service");
        } else {
            self.finish(client);
        }
    }

    /// Does a piece of the client's work; whether there was any to do.
    pub(super) fn work_on(&mut self, client: &mut Client) -> bool {
        match replace(&mut client.work, Work::None) {
            Work::None => false,
            Work::Upgrade => self.work_on_upgrade(client),
            Work::Events { after, follow } => {
                let is_trusted = client.may_all();
                let known = self.events_ring.write(after, self.now, is_trusted, &mut client.out);
                match (known, follow) {
                    (Some(after), _) => client.work = Work::Events { after, follow },
                    (None, true) => client.work = Work::Events { after, follow },
                    (None, false) => self.finish(client),
                }
                known.is_some()
            }
            Work::List { mut targets, is_why, has_unknown } => {
                match targets.pop() {
                    Some(target) => {
                        self.put_target(client, &target, is_why);
                        client.work = Work::List { targets, is_why, has_unknown };
                    }
                    None => self.finish_known(client, has_unknown),
                }
                true
            }
        }
    }

    fn answer_status(&mut self, client: &mut Client, request: &Request) {
        let (mut targets, has_unknown) = self.find_targets(client, &request.names);
        targets.reverse();
        let is_why = request.command == Command::Why;
        client.work = Work::List { targets, is_why, has_unknown };
    }

    /// What the names stand for; those which stand for nothing are answered.
    pub(super) fn find_targets(
        &self,
        client: &mut Client,
        names: &[String],
    ) -> (Vec<Target>, bool) {
        let all = self.all_targets();
        if names.is_empty() {
            return (all.into_iter().map(|(_, target)| target).collect(), false);
        }
        // Read once, not for each name: anybody may ask, and name a thousand.
        let needs_tags = names.iter().any(|name| name.starts_with('@'));
        let tags: Vec<_> = all.iter().map(|(_, it)| self.tags(it, needs_tags)).collect();
        let mut chosen: Vec<usize> = Vec::new();
        let mut is_chosen = vec![false; all.len()];
        let mut unknown = 0;
        for name in names {
            let mut is_known = false;
            for (index, ((it, _), tags)) in all.iter().zip(&tags).enumerate() {
                if is_meant(name, it, tags) {
                    is_known = true;
                    // Once each, in the order of the names that meant them.
                    let is_first = is_chosen.get_mut(index).is_some_and(|is| !replace(is, true));
                    chosen.extend(is_first.then_some(index));
                }
            }
            if is_known {
                continue;
            }
            unknown += 1;
            put(&mut client.out, "name", name);
            put(&mut client.out, "code", Code::UnknownService.word());
            // To look for it takes time, and more mistakes than these are none.
            if unknown <= HINTS_MAX {
                let nearest = nearest(name, all.iter().map(|(it, _)| it.as_str()));
                nearest.into_iter().for_each(|nearest| put(&mut client.out, "nearest", nearest));
            }
            protocol::end(&mut client.out);
        }
        let targets = chosen.into_iter().filter_map(|index| all.get(index));
        (targets.map(|(_, target)| target.clone()).collect(), unknown > 0)
    }

    fn tags(&self, target: &Target, is_needed: bool) -> Vec<String> {
        let Target::Service(slot) = target else { return Vec::new() };
        let spec = if is_needed { self.spec(*slot) } else { None };
        spec.map_or(Vec::new(), |spec| spec.tags)
    }

    /// All there is to name, by name.
    fn all_targets(&self) -> Vec<(String, Target)> {
        let services = self.supervisor.services();
        let mut all: Vec<_> =
            services.map(|(slot, it)| (it.name.to_string(), Target::Service(slot))).collect();
        let refused = self.refused.names().filter(|name| !name.is_empty());
        let refused = refused.filter(|name| self.supervisor.find(name).is_none());
        all.extend(refused.map(|name| (name.clone(), Target::Refused(name.clone()))));
        // One that still stops is a service until it is gone.
        let disabled = Directory::list_disabled(&self.directory.path).into_iter();
        let disabled = disabled.filter(|name| self.supervisor.find(name).is_none());
        all.extend(disabled.map(|name| (name.clone(), Target::Disabled(name))));
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        all
    }

    pub(super) fn spec(&self, slot: Slot) -> Option<Spec> {
        let service = self.supervisor.get(slot)?;
        // What -o says is for services, and going-log is ours.
        let own = Spec::default();
        let is_own = *service.name == *logger::NAME;
        parse(&service.definition.text, if is_own { &own } else { &self.defaults }).ok()
    }

    /// Orders to services, each told how it was taken.
    fn answer_order(&mut self, client: &mut Client, request: &Request) {
        let (targets, has_unknown) = self.find_targets(client, &request.names);
        let mut is_denied = false;
        let mut outcomes = Vec::with_capacity(targets.len());
        for target in targets {
            let outcome = match target {
                Target::Service(slot) if self.may_order(client, slot) => {
                    if matches!(request.command, Command::Start | Command::Restart) {
                        self.start_needs(client, slot);
                    }
                    self.order(slot, request)
                }
                Target::Service(_) => {
                    is_denied = true;
                    ("denied", "it is not yours to command")
                }
                Target::Refused(_) | Target::Disabled(_) => ("", ""),
            };
            outcomes.push((target, outcome));
        }
        // Those first that were named for whom nobody else waits who was named, too.
        self.supervisor.see_off(self.now);
        self.follow_up();
        for (target, outcome) in outcomes {
            let Target::Service(slot) = target else {
                put_refusal(&mut client.out, &target);
                continue;
            };
            let Some(service) = self.supervisor.get(slot) else { continue };
            put_outcome(&mut client.out, service, outcome);
        }
        if is_denied {
            let message = "not every service named is yours to command";
            return self.refuse_request(client, Code::Denied, message);
        }
        self.finish_known(client, has_unknown);
    }

    fn order(&mut self, slot: Slot, request: &Request) -> (&'static str, &'static str) {
        let Some(service) = self.supervisor.get(slot) else { return ("failed", "it is gone") };
        let (state, is_wanted) = (service.state, service.want == Want::Up);
        let is_up = matches!(request.command, Command::Start | Command::Restart | Command::Retry);
        match service.stay {
            Stay::Gone if is_up => return ("failed", "its file is gone, and it is on its way out"),
            Stay::Closing if is_up => return ("failed", "going is shutting down"),
            Stay::Here | Stay::Gone | Stay::Closing => {}
        }
        let event = match request.command {
            Command::Start if is_wanted && (state.is_alive() || state == State::Waiting) => None,
            Command::Start => Some(Event::Start),
            Command::Stop if !is_wanted && !state.is_alive() => None,
            Command::Stop => {
                self.supervisor.part(slot, None);
                return ("done", "");
            }
            Command::Restart => Some(Event::Restart),
            Command::Retry => {
                let is_held = matches!(state, State::Quarantined { .. } | State::Failed);
                is_held.then_some(Event::Start)
            }
            Command::ClearLog => return self.order_clear(slot),
            Command::Hup => return self.order_hup(slot),
            Command::Send => {
                let text = request.text.as_deref().unwrap_or("");
                return self.send_input(slot, text).err().unwrap_or(("done", ""));
            }
            Command::Status
            | Command::Why
            | Command::Signal
            | Command::Enable
            | Command::Disable
            | Command::Reload
            | Command::Events
            | Command::Myself
            | Command::Ping
            | Command::Version
            | Command::Shutdown
            | Command::ReopenLogs
            | Command::Upgrade => {
                let Some(signal) = request.signal else { return ("failed", "which signal?") };
                return self.order_signal(slot, signal);
            }
        };
        match event {
            None => ("already", ""),
            Some(event) => {
                self.supervisor.step(slot, event, self.now);
                // Done and written down before it is said to be.
                self.follow_up();
                ("done", "")
            }
        }
    }

    /// To the main process alone, as every other sender would.
    pub(super) fn order_signal(
        &mut self,
        slot: Slot,
        signal: Signal,
    ) -> (&'static str, &'static str) {
        let Some(service) = self.supervisor.get(slot) else { return ("failed", "it is gone") };
        let Some(pid) = service.state.pid() else { return ("failed", "it does not run") };
        match self.legacy.send(pid, signal, false) {
            Ok(()) => ("done", ""),
            Err(_) => ("failed", "the kernel did not let us"),
        }
    }

    /// Whether a client may command a service: as root, as going's own user, as
    /// the user it runs as, or as one whom its `control` key names.
    pub(super) fn may_order(&self, client: &Client, slot: Slot) -> bool {
        if client.may_all() {
            return true;
        }
        let Some(spec) = self.spec(slot) else { return false };
        let is_user = |name: &str| {
            let known = User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
            known.or_else(|| name.parse().ok()) == Some(client.uid)
        };
        spec.user.as_deref().is_some_and(is_user)
            || spec.control.iter().any(|name| match name.strip_prefix('@') {
                Some(group) => client.is_in(group),
                None => is_user(name),
            })
    }
}

/// So many mistyped names are worth a hint.
const HINTS_MAX: u32 = 8;

fn is_meant(wanted: &str, name: &str, tags: &[String]) -> bool {
    match wanted.strip_prefix('@') {
        Some(tag) => tags.iter().any(|it| it == tag),
        None if pattern::is_pattern(wanted) => pattern::matches(wanted, name),
        None => wanted == name || is_of(name, wanted),
    }
}

impl Client {
    /// Whether this is root, or the user as whom going runs.
    pub(super) fn may_all(&self) -> bool {
        self.uid == 0 || self.uid == Uid::effective().as_raw()
    }

    /// Whether the client's user belongs to a group, by name or number.
    fn is_in(&self, group: &str) -> bool {
        let known = Group::from_name(group).ok().flatten().map(|group| group.gid.as_raw());
        let Some(gid) = known.or_else(|| group.parse().ok()) else { return false };
        let user = User::from_uid(Uid::from_raw(self.uid)).ok().flatten();
        let groups = user.and_then(|user| {
            let name = std::ffi::CString::new(user.name).ok()?;
            getgrouplist(&name, user.gid).ok()
        });
        self.gid == gid || groups.is_some_and(|groups| groups.contains(&Gid::from_raw(gid)))
    }
}

fn put_refusal(out: &mut Vec<u8>, target: &Target) {
    let (name, why) = match target {
        Target::Refused(name) => (name, "its file cannot be used"),
        Target::Disabled(name) => (name, "it is disabled; enable it first"),
        Target::Service(_) => return,
    };
    put(out, "service", name);
    put(out, "outcome", "failed");
    put(out, "message", why);
    protocol::end(out);
}
