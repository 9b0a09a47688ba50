//! What a fault means, in a sentence, and which key of the file it is about.
//! What the fault has no room for, such as the name of a variable, is looked for
//! once more; nothing here may fail when it has changed meanwhile.

use nix::libc;

use super::super::cgroup::LIMITS;
use super::environment::{self, EXPANDED, Environment, Trouble, path_of};
use super::{known_surroundings, user_id, wrap};
use crate::config::cgroup::Wish;
use crate::config::child::{CAPABILITIES, capability};
use crate::config::limits::{RESOURCES, show_affinity, show_ionice, show_limit, show_sched};
use crate::config::words::show_duration;
use crate::config::{Spec, Stream, keys};
use crate::daemon::listeners;
use crate::supervise::{Death, Fault, Step, Strike};

/// The same for a death, which may be that of the setup.
pub fn explain_death(death: &Death, fault: Fault, spec: &Spec) -> (String, &'static str) {
    if death.strike != Some(Strike::Setup) {
        return explain(fault, spec);
    }
    if fault.step == Step::Late {
        let timeout = show_duration(spec.policy.care.start_timeout);
        return (
            format!("Can't wait for the setup any longer: {timeout} are over"),
            "start-timeout",
        );
    }
    let (sentence, key) = explain(fault, &Spec { cmd: spec.setup.clone(), ..spec.clone() });
    (sentence, if key == "cmd" { "setup" } else { key })
}

/// The sentence and the key. `spec` is the one that was to run.
pub fn explain(fault: Fault, spec: &Spec) -> (String, &'static str) {
    let why = crate::sys::describe(fault.errno);
    let user = spec.user.as_deref().unwrap_or("going's own user");
    let command = || shown("", spec, spec.cmd.first().map_or("", String::as_str));
    match fault.step {
        Step::FindUser | Step::FindGroup | Step::FindGroups => explain_search(fault, spec, &why),
        Step::FindCommand | Step::Execute => (format!("Can't execute {}: {why}", command()), "cmd"),
        Step::Stdin => (open(spec, &spec.stdin, "stdin", fault.errno), "stdin"),
        Step::Stdout => (open(spec, &spec.stdout, "stdout", fault.errno), "stdout"),
        Step::Stderr => (open(spec, &spec.stderr, "stderr", fault.errno), "stderr"),
        Step::Groups => {
            let keys = [("groups", spec.groups.is_some()), ("group", spec.group.is_some())];
            let key = keys.into_iter().find(|&(_, is_set)| is_set).map_or("user", |(key, _)| key);
            (format!("Can't set the groups: {why}"), key)
        }
        Step::Group => (format!("Can't change to the group: {why}"), "group"),
        Step::User => (format!("Can't change to user {user}: {why}"), "user"),
        Step::Directory => {
            let who = spec.user.as_deref().map_or(String::new(), |user| format!(" as user {user}"));
            let cwd = shown("", spec, &spec.cwd);
            (format!("Can't change working directory to {cwd}{who}: {why}"), "cwd")
        }
        Step::Session => (format!("Can't make a session: {why}"), "cmd"),
        Step::Parse => (format!("Can't prepare the command: {why}"), "cmd"),
        Step::Log => (format!("Can't log, going-log cannot be started: {why}"), "stdout"),
        Step::Pipe => (format!("Can't make a pipe: {why}"), "cmd"),
        Step::Fork => (format!("Could not fork: {why}"), "cmd"),
        Step::Late | Step::Hung | Step::Unhealthy => explain_run(fault.step, spec),
        Step::Voice => (format!("Can't listen to what it says of itself: {why}"), "ready"),
        Step::EnvFile(which) => (explain_file(spec, which, &why), "env-file"),
        Step::Expand(which) => explain_expansion(fault, spec, which),
        Step::Listen(which) => (listeners::explain(fault, which, spec, &why), "listen"),
        Step::Nice
        | Step::OomScore
        | Step::Affinity
        | Step::Sched
        | Step::Ionice
        | Step::Limit(_)
        | Step::Private(_)
        | Step::Chroot
        | Step::ReadOnly(_)
        | Step::Writable(_)
        | Step::Capability(_)
        | Step::NewPrivileges
        | Step::Cgroup(_) => explain_wrapping(fault, spec, &why),
    }
}

/// Who of those that are named does not exist, or cannot be found.
fn explain_search(fault: Fault, spec: &Spec, why: &str) -> (String, &'static str) {
    let is_missing = fault.errno == libc::ENOENT;
    if fault.step == Step::FindGroups {
        let groups = spec.groups.as_ref().map_or(String::new(), |groups| groups.join(" "));
        return (format!("Can't find all of groups {groups}: {why}"), "groups");
    }
    let user = spec.user.as_deref().unwrap_or("going's own user");
    let (what, key) = if fault.step == Step::FindUser {
        (format!("user {user}"), "user")
    } else if fault.errno == libc::EINVAL {
        let what = format!("Can't tell the group of user {user}");
        return (format!("{what}: it has no entry, so set group="), "user");
    } else {
        (format!("group {}", spec.group.as_deref().unwrap_or("of the user")), "group")
    };
    let sentence = if is_missing {
        format!("There is no {what}")
    } else {
        format!("Can't find {what}: {why}")
    };
    (sentence, key)
}

/// Why a run was ended that its program had begun.
fn explain_run(step: Step, spec: &Spec) -> (String, &'static str) {
    let care = &spec.policy.care;
    if step == Step::Unhealthy {
        let fails = care.minding.health_fails;
        return (format!("Not well: {fails} health checks in a row failed"), "health");
    }
    if step == Step::Hung {
        let silent = show_duration(care.watchdog.unwrap_or_default());
        return (format!("Hangs, or was silent for {silent}"), "watchdog");
    }
    (format!("Not ready after {}", show_duration(care.start_timeout)), "start-timeout")
}

/// A text with its variables replaced, as the service `name` would have it.
pub fn shown(name: &str, spec: &Spec, text: &str) -> String {
    // Most have none, and then there is nothing to be looked up.
    if text.contains("${") { known_surroundings(name, spec).show(text) } else { text.into() }
}

fn open(spec: &Spec, stream: &Stream, name: &str, number: i32) -> String {
    let why = crate::sys::describe(number);
    let what = match (path_of(stream), stream) {
        (Some(path), _) => shown("", spec, path),
        (None, Stream::Log | Stream::Syslog | Stream::Pipe) => "a pipe".into(),
        (None, _) => "it".into(),
    };
    let reader = if number == libc::ENXIO { ", or a FIFO that nobody reads" } else { "" };
    format!("Can't open {what} for {name}: {why}{reader}")
}

fn explain_file(spec: &Spec, which: u8, why: &str) -> String {
    let Some(path) = spec.env_files.get(usize::from(which)) else {
        return format!("Can't read a file of variables: {why}");
    };
    let trouble = environment::read_file(path, user_id(spec)).err();
    let path = path.strip_prefix('-').unwrap_or(path);
    match trouble {
        Some(Trouble::Content(wrong)) => {
            format!("Can't take the variables of {path}:{}: {}", wrong.line, wrong.message)
        }
        Some(Trouble::Strangers) => {
            format!("Can't trust {path}: not only root and the service's user may write it")
        }
        Some(Trouble::System(_)) | None => format!("Can't read {path}: {why}"),
    }
}

fn explain_expansion(fault: Fault, spec: &Spec, which: u8) -> (String, &'static str) {
    let key = EXPANDED.get(usize::from(which)).copied().unwrap_or("cmd");
    let sentence = if fault.errno == libc::EINVAL {
        format!("Can't use {key}: with its variables it is no absolute path")
    } else {
        let variables = Environment::missing(&known_surroundings("", spec), spec, which);
        let name = variables.unwrap_or_else(|| "in it".into());
        format!("Can't expand {key}: the variable {name} is not set")
    };
    (sentence, key)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others are explained above")]
fn explain_wrapping(fault: Fault, spec: &Spec, why: &str) -> (String, &'static str) {
    let Fault { step, errno } = fault;
    let (limits, sandbox) = (&spec.limits, &spec.sandbox);
    let number = |number: Option<i16>| number.unwrap_or_default();
    let set =
        |key: &'static str, value: String| (format!("Can't set {key} to {value}: {why}"), key);
    match step {
        Step::Nice => set("nice", number(limits.nice.map(i16::from)).to_string()),
        Step::OomScore => set("oom-score-adj", number(limits.oom_score_adj).to_string()),
        Step::Affinity => set("cpu-affinity", show_affinity(&limits.cpu_affinity)),
        Step::Sched => set("sched", show_sched(limits.sched)),
        Step::Ionice => set("ionice", show_ionice(limits.ionice)),
        Step::Limit(which) => {
            let name = RESOURCES.get(usize::from(which)).map_or("", |(name, _)| *name);
            let key = keys::names().find(|it| it.strip_prefix("limit-") == Some(name));
            set(key.unwrap_or("limit-nofile"), show_limit(limits, which.into()))
        }
        Step::Private(which) => {
            let is_named = sandbox.private.get(usize::from(which)).is_some_and(|it| *it);
            let key = if is_named { "private" } else { "harden" };
            (format!("Can't make {} private: {why}", wrap::private_name(which)), key)
        }
        Step::Chroot => {
            let root = sandbox.chroot.as_deref().unwrap_or("/");
            (format!("Can't change root to {root}: {why}"), "chroot")
        }
        Step::ReadOnly(which) => {
            let is_named = usize::from(which) < sandbox.read_only.len();
            let key = if is_named { "read-only" } else { "harden" };
            (format!("Can't make {} read-only: {why}", tree(spec, step)), key)
        }
        Step::Writable(_) => {
            (format!("Can't leave {} writable: {why}", tree(spec, step)), "writable")
        }
        Step::Capability(which) if usize::from(which) < CAPABILITIES.len() => {
            let name = capability(which);
            let is_kept = sandbox.capabilities.is_some_and(|kept| kept >> which & 1 == 1);
            let verb = if is_kept { "keep" } else { "drop" };
            let key = if sandbox.capabilities.is_some() { "capabilities" } else { "harden" };
            (format!("Can't {verb} capability {name}: {why}"), key)
        }
        Step::Cgroup(which) => explain_cgroup(which, errno, spec),
        Step::NewPrivileges => {
            let key = if sandbox.no_new_privs { "no-new-privs" } else { "harden" };
            (format!("Can't deny new privileges: {why}"), key)
        }
        _ => (format!("Can't drop capabilities: {why}"), "capabilities"),
    }
}

/// The path which a step is about.
fn tree(spec: &Spec, step: Step) -> String {
    let tree = wrap::trees(spec).into_iter().find(|tree| tree.step == step);
    tree.map_or("files".into(), |tree| tree.path.display().to_string())
}

/// What is wrong with a control group, in words for people who never made one.
fn explain_cgroup(which: u8, errno: i32, spec: &Spec) -> (String, &'static str) {
    let limit = usize::from(which).checked_sub(1).and_then(|which| LIMITS.get(which)).copied();
    let key = limit.unwrap_or("cgroup");
    let value = keys::find(key).map_or(String::new(), |key| (key.get)(spec));
    let controller = key.split('-').next().unwrap_or_default();
    let why = match errno {
        libc::EINVAL if spec.cgroup.wish == Wish::No => "cgroup=no leaves nothing to limit".into(),
        libc::ENODEV => "needs a writable cgroup v2, and none is mounted".into(),
        libc::EOPNOTSUPP => {
            format!("needs a writable cgroup v2 with the controller {controller}, not there")
        }
        libc::EBUSY => "going shares its control group with processes that are not its own; \
                        start it in one of its own"
            .into(),
        errno => format!("needs a writable cgroup v2: {}", crate::sys::describe(errno)),
    };
    (format!("Can't set {key} to {value}: {why}"), key)
}
