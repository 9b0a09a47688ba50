//! How things are with a service, as blocks of the protocol. What its file says is
//! shown to root and going's own user only: others may not be able to read it.

use super::answer::Target;
use super::events::millis;
use super::pipes::Which;
use super::server::Client;
use super::{Daemon, spawn};
use crate::config::care::show_condition;
use crate::config::keys;
use crate::config::{Signal, Spec, Stream};
use crate::protocol::{self, put, put_number};
use crate::supervise::{Death, Exit, Moment, Pid, Service, Slot, Stage, State, Strike};
use crate::sys;

impl Daemon {
    /// Writes the block of whatever a name stood for, and its deaths for `why`.
    pub(super) fn put_target(&self, client: &mut Client, target: &Target, is_why: bool) {
        let is_trusted = client.may_all();
        let out = &mut client.out;
        match target {
            Target::Disabled(name) => {
                put(out, "service", name);
                put(out, "want", "down");
                put(out, "state", "disabled");
                protocol::end(out);
            }
            Target::Refused(name) => {
                put(out, "service", name);
                put(out, "want", "down");
                put(out, "state", "failed");
                put(out, "refused", "yes");
                self.put_complaints(out, name, is_trusted);
                protocol::end(out);
            }
            Target::Service(slot) => {
                let Some(service) = self.supervisor.get(*slot) else { return };
                let spec = self.spec(*slot).unwrap_or_default();
                self.put_service(out, *slot, &spec, is_trusted);
                self.put_minding(out, *slot, is_why && is_trusted);
                for address in self.listeners.addresses(*slot) {
                    put(out, "listen", &address);
                }
                if is_why && is_trusted {
                    self.put_file(out, service, &spec);
                }
                protocol::end(out);
                if is_why {
                    self.put_deaths(out, service, is_trusted.then_some(&spec));
                }
            }
        }
    }

    fn put_complaints(&self, out: &mut Vec<u8>, name: &str, is_trusted: bool) {
        for line in self.refused.get(name).unwrap_or("").lines() {
            put(out, "complaint", if is_trusted { line } else { "its file cannot be used" });
        }
    }

    fn put_service(&self, out: &mut Vec<u8>, slot: Slot, spec: &Spec, is_trusted: bool) {
        let Some(service) = self.supervisor.get(slot) else { return };
        let now = self.now;
        put(out, "service", &service.name);
        if !spec.description.is_empty() {
            put(out, "description", &spec.description);
        }
        put_state(out, service);
        put_stage(out, service);
        put_unmet(out, service, spec, is_trusted);
        self.put_blockers(out, slot);
        self.put_voice(out, slot);
        if let Some((Pid(pid), since)) = service.state.run() {
            put_number(out, "pid", u64::try_from(pid).unwrap_or(0));
            put_number(out, "uptime-ms", millis(now.since(since)));
        }
        put_number(out, "since-ms", millis(now.since(service.changed_at)));
        put_number(out, "starts", u64::from(service.starts));
        // A run that has lasted ends the row only when it ends; people see it now.
        let is_healthy = matches!(service.state, State::Up { since, .. }
            if now.since(since) >= service.definition.policy.min_uptime);
        if service.strikes > 0 && !is_healthy {
            put_number(out, "strikes", u64::from(service.strikes));
        }
        if service.row > 0 && !is_healthy {
            put_number(out, "row", u64::from(service.row));
        }
        if let Some(deadline) = service.state.deadline() {
            put_number(out, "next-ms", millis(deadline.since(now)));
            put(out, "next", next(service));
        }
        if let State::Stopping { step, .. } | State::Clearing { step, .. } = service.state {
            let (sent, _) = service.sent(step);
            if sent != Signal(0) {
                put(out, "signal", &sent.word());
            }
        }
        if let Some(death) = service.last() {
            put_death(out, "last-", &death, now);
            put_fault(out, "last-", &death, is_trusted.then_some(spec));
        }
        if let Some(path) = self.cgroups.path(slot, &service.name) {
            put(out, "cgroup", &path.to_string_lossy());
        }
        for tag in &spec.tags {
            put(out, "tag", tag);
        }
        for (key, stream, which) in
            [("log", &spec.stdout, Which::Stdout), ("log-stderr", &spec.stderr, Which::Stderr)]
        {
            // Where a service writes to by itself, only its file tells.
            let is_shown = is_trusted || *stream == Stream::Log;
            if let Some(path) = self.log_file(&service.name, stream, which).filter(|_| is_shown) {
                put(out, key, &spawn::shown(&service.name, spec, &path));
            }
        }
        self.put_complaints(out, &service.name, is_trusted);
    }

    fn put_file(&self, out: &mut Vec<u8>, service: &Service, spec: &Spec) {
        let file = self.file_of(&service.name);
        put(out, "file", &file.to_string_lossy());
        for key in keys::all().filter(|key| !matches!(key.name, "env" | "instances")) {
            let value = (key.get)(spec);
            match key.name {
                "cmd" => put(out, "cmd", &value),
                name if !value.is_empty() => put(out, "policy", &format!("{name}={value}")),
                _ => {}
            }
        }
    }

    fn put_deaths(&self, out: &mut Vec<u8>, service: &Service, spec: Option<&Spec>) {
        let first = service.first_of_row();
        let recent: Vec<_> = service.deaths().copied().collect();
        let old = first.filter(|first| !recent.contains(first));
        for (number, death) in (1..).zip(recent.iter().copied().chain(old)) {
            put_number(out, "death", number);
            put(out, "of", &service.name);
            put_death(out, "", &death, self.now);
            put_fault(out, "", &death, spec);
            if first == Some(death) {
                put(out, "first", "yes");
            }
            protocol::end(out);
        }
    }

    /// Going's own figures.
    pub(super) fn answer_self(&self, client: &mut Client) {
        let count = |number: usize| u64::try_from(number).unwrap_or(0);
        let out = &mut client.out;
        put(out, "version", env!("CARGO_PKG_VERSION"));
        put_number(out, "pid", u64::from(std::process::id()));
        put_number(out, "uptime-ms", millis(self.now.since(self.started_at)));
        put_number(out, "services", count(self.supervisor.services().count()));
        put_number(out, "alive", count(self.supervisor.alive()));
        put_number(out, "turns", self.turns);
        if let Some(server) = &self.server {
            // The one who asks is not in its place while it is served.
            put_number(out, "clients", count(server.count() + 1));
            put(out, "run-directory", &server.run_directory.path.to_string_lossy());
        }
        put(out, "directory", &self.directory.path.to_string_lossy());
        protocol::end(out);
        self.finish(client);
    }
}

fn put_state(out: &mut Vec<u8>, service: &Service) {
    put(out, "want", protocol::want(service.want));
    put(out, "state", protocol::State::of(&service.state).word());
}

/// How a service took an order.
pub(super) fn put_outcome(out: &mut Vec<u8>, service: &Service, outcome: (&str, &str)) {
    put(out, "service", &service.name);
    put(out, "outcome", outcome.0);
    if !outcome.1.is_empty() {
        put(out, "message", outcome.1);
    }
    put_state(out, service);
    protocol::end(out);
}

/// Which condition keeps it down.
fn put_unmet(out: &mut Vec<u8>, service: &Service, spec: &Spec, is_trusted: bool) {
    if let State::Unmet { which } = service.state {
        let condition = spec.conditions.get(usize::from(which)).filter(|_| is_trusted);
        put(out, "unmet", &condition.map_or("in its file".to_owned(), show_condition));
    }
}

/// How far a start has come, and whose end is awaited.
fn put_stage(out: &mut Vec<u8>, service: &Service) {
    let is_starting = matches!(service.state, State::Starting { .. });
    let is_stopping = matches!(service.state, State::Stopping { .. } | State::Clearing { .. });
    let stage = match service.stage {
        Stage::Setup | Stage::Prepared if is_starting || is_stopping => "setup",
        Stage::Running if is_starting => "unready",
        Stage::Finish if is_stopping => "finish",
        Stage::Fresh
        | Stage::Setup
        | Stage::Prepared
        | Stage::Forked
        | Stage::Running
        | Stage::Finish => return,
    };
    put(out, "stage", stage);
}

/// What the deadline of a state is for.
fn next(service: &Service) -> &'static str {
    match service.state {
        State::Starting { .. } if service.is_proving_itself() => "ready",
        State::Finishing { .. } => "kill",
        State::Quarantined { .. } => "start",
        State::Stopping { .. } | State::Clearing { .. } => "signal",
        State::Starting { .. }
        | State::Down
        | State::Waiting
        | State::Listening
        | State::Unmet { .. }
        | State::Up { .. }
        | State::Ending
        | State::Done
        | State::Failed => "give-up",
    }
}

/// A death, each key with `prefix` before it.
pub(super) fn put_death(out: &mut Vec<u8>, prefix: &str, death: &Death, now: Moment) {
    let key = |name: &str| format!("{prefix}{name}");
    match death.exit {
        Some(Exit::Code(code)) => put_number(out, &key("exit"), u64::from(code)),
        Some(Exit::Signal { signal, core }) => {
            put(out, &key("signal"), &signal.word());
            if core {
                put(out, &key("core"), "yes");
            }
        }
        Some(Exit::Memory) => {
            put(out, &key("signal"), &Signal::KILL.word());
            put(out, &key("out-of-memory"), "yes");
        }
        Some(Exit::Unknown) => put(out, &key("exit"), "unknown"),
        None => {}
    }
    put_number(out, &key("ran-ms"), millis(death.ran));
    put_number(out, &key("ago-ms"), millis(now.since(death.at)));
    if death.ordered {
        put(out, &key("ordered"), "yes");
    }
    let strike = death.strike.map(|strike| match strike {
        Strike::Short => "short",
        Strike::Burst => "burst",
        Strike::Fault => "fault",
        Strike::Work => "work",
        Strike::Setup => "setup",
        Strike::Unready => "unready",
        Strike::Health => "health",
        Strike::Watchdog => "watchdog",
    });
    if let Some(strike) = strike {
        put(out, &key("strike"), strike);
    }
}

/// Why a program never ran; without a spec, without what only its file tells.
fn put_fault(out: &mut Vec<u8>, prefix: &str, death: &Death, spec: Option<&Spec>) {
    if let Some(fault) = death.fault {
        let why = spec.map(|spec| spawn::explain_death(death, fault, spec).0);
        let why = why.unwrap_or_else(|| format!("Can't start: {}", sys::describe(fault.errno)));
        put(out, &format!("{prefix}fault"), &why);
    }
}
