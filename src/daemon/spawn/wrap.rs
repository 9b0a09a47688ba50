//! What a service is wrapped in, made ready for its child: numbers, masks and
//! paths. Here it is decided what `harden=strict` stands for.

use std::ffi::{CString, c_int};
use std::path::{Path, PathBuf};

use nix::libc;

use crate::config::Spec;
use crate::config::child::PRIVATES;
use crate::config::limits::{Ionice, Sched};
use crate::supervise::Step;
use crate::sys::capabilities::{self, Capabilities};
use crate::sys::fds;
use crate::sys::limits::Limits;
use crate::sys::sandbox::{Need, Sandbox, Tree, Wrapping};

/// What `read-only=/` leaves out, being no files that anybody keeps.
const SPARED: [&str; 3] = ["/dev", "/proc", "/sys"];

/// What of it the strict ones do not get: with these, root without any
/// capability could still change the system, by its user ID alone.
const STRICT: [&str; 6] =
    ["/", "/sys", "/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"];

/// By which the bounding set is changed (capabilities(7)).
const SETPCAP: u8 = 8;

/// All of it.
pub fn wrapping(spec: &Spec) -> Wrapping {
    Wrapping {
        limits: limits(spec),
        sandbox: sandbox(spec),
        capabilities: capabilities(spec),
        no_new_privs: spec.sandbox.no_new_privs || spec.sandbox.is_strict,
    }
}

/// The place of descriptors in `config::limits::RESOURCES`.
const NOFILE: u8 = 9;

/// How much it may take.
fn limits(spec: &Spec) -> Limits {
    let wanted = &spec.limits;
    let resources = wanted.resources.iter().zip(0_u8..);
    let resources =
        resources.filter_map(|(limit, which)| limit.map(|it| (which, it.soft, it.hard)));
    let mut resources: Vec<_> = resources.collect();
    // What we took for ourselves is not theirs.
    if let Some((soft, hard)) = fds::given_limit() {
        if resources.iter().all(|it| it.0 != NOFILE) {
            resources.push((NOFILE, soft, hard));
        }
    }
    let score = wanted.oom_score_adj.and_then(|score| CString::new(score.to_string()).ok());
    Limits {
        resources,
        nice: wanted.nice,
        oom_score_adj: score,
        affinity: wanted.cpu_affinity.clone(),
        sched: wanted.sched.map(number_sched),
        ionice: wanted.ionice.map(number_ionice),
    }
}

fn number_sched(sched: Sched) -> (c_int, c_int) {
    match sched {
        Sched::Other => (libc::SCHED_OTHER, 0),
        Sched::Batch => (libc::SCHED_BATCH, 0),
        Sched::Idle => (libc::SCHED_IDLE, 0),
        Sched::Fifo(priority) => (libc::SCHED_FIFO, priority.into()),
        Sched::RoundRobin(priority) => (libc::SCHED_RR, priority.into()),
    }
}

/// The classes as ioprio_set(2) numbers them.
fn number_ionice(ionice: Ionice) -> (c_int, c_int) {
    match ionice {
        Ionice::Realtime(level) => (1, level.into()),
        Ionice::BestEffort(level) => (2, level.into()),
        Ionice::Idle => (3, 0),
    }
}

/// The rights of root which it keeps.
fn capabilities(spec: &Spec) -> Option<Capabilities> {
    let sandbox = &spec.sandbox;
    match sandbox.capabilities {
        Some(kept) => Some(Capabilities { kept, is_lenient: false }),
        None if sandbox.is_strict => {
            let is_lenient = capabilities::permitted() >> SETPCAP & 1 == 0;
            Some(Capabilities { kept: 0, is_lenient })
        }
        None => None,
    }
}

/// What it sees of the system. The paths have no NUL, which the parser refuses.
fn sandbox(spec: &Spec) -> Sandbox {
    let mut private = spec.sandbox.private.map(|is_private| is_private.then_some(Need::Must));
    if spec.sandbox.is_strict {
        for (need, name) in private.iter_mut().zip(PRIVATES) {
            if matches!(name, "ipc" | "tmp") {
                need.get_or_insert(Need::May);
            }
        }
    }
    let trees = trees(spec).into_iter().filter_map(|tree| {
        let path = CString::new(tree.path.into_os_string().into_encoded_bytes()).ok()?;
        let (step, is_optional, need) = (tree.step, tree.is_optional, tree.need);
        Some(Tree { path, step, is_optional, need })
    });
    let chroot = spec.sandbox.chroot.as_deref().and_then(|path| CString::new(path).ok());
    Sandbox { private, chroot, trees: trees.collect() }
}

/// A tree of files, as `sys::sandbox` has it.
pub struct Place {
    /// Where it begins.
    pub path: PathBuf,
    /// What is done to it, and by which line of the file.
    pub step: Step,
    /// Whether it need not be there.
    pub is_optional: bool,
    /// What if the kernel refuses.
    pub need: Need,
}

/// What is read-only and what is not, the deeper ones later, so that the nearest
/// word counts. Those which no line of the file names are numbered behind its own.
pub fn trees(spec: &Spec) -> Vec<Place> {
    let sandbox = &spec.sandbox;
    let named = |line: &String| match line.strip_prefix('-') {
        Some(path) => (normal(path), true, Need::Must),
        None => (normal(line), false, Need::Must),
    };
    let implied = |path: &str, need| (PathBuf::from(path), true, need);
    let mut read_only: Vec<_> = sandbox.read_only.iter().map(named).collect();
    let mut writable: Vec<_> = sandbox.writable.iter().map(named).collect();
    let is_named = read_only.iter().any(|(path, ..)| path.as_os_str() == "/");
    if sandbox.is_strict {
        let more = STRICT.iter().filter(|path| !is_named || **path != "/");
        read_only.extend(more.map(|path| implied(path, Need::May)));
    }
    if is_named || sandbox.is_strict {
        let need = if is_named { Need::Must } else { Need::May };
        let spared = SPARED.iter().filter(|path| !sandbox.is_strict || **path != "/sys");
        writable.extend(spared.map(|path| implied(path, need)));
    }
    let place = |step: fn(u8) -> Step| {
        move |((path, is_optional, need), which)| Place {
            path,
            step: step(which),
            is_optional,
            need,
        }
    };
    let read_only = read_only.into_iter().zip(0_u8..).map(place(Step::ReadOnly));
    let writable = writable.into_iter().zip(0_u8..).map(place(Step::Writable));
    let mut rest: Vec<Place> = read_only.chain(writable).collect();
    // Sorted by hand: there are few, and the sort of std would be more code than
    // all of this file.
    let mut trees = Vec::with_capacity(rest.len());
    let depth = |tree: &Place| tree.path.components().count();
    while let Some(least) = rest.iter().map(depth).min() {
        let next: Vec<Place>;
        (next, rest) = rest.into_iter().partition(|tree| depth(tree) == least);
        trees.extend(next);
    }
    trees
}

/// Without what means nothing in a path, so that `//` is `/`.
fn normal(path: &str) -> PathBuf {
    Path::new(path).components().collect()
}

/// The name of what `Step::Private` is about.
pub fn private_name(which: u8) -> &'static str {
    PRIVATES.get(usize::from(which)).copied().unwrap_or("namespace")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn shown(text: &str) -> String {
        let spec = parse(format!("cmd=a\n{text}").as_bytes(), &Spec::default()).unwrap();
        let show = |tree: &Place| {
            let kind = if matches!(tree.step, Step::Writable(_)) { "rw" } else { "ro" };
            let optional = if tree.is_optional { "?" } else { "" };
            let need = if tree.need == Need::May { "~" } else { "" };
            format!("{kind}:{}{optional}{need}", tree.path.display())
        };
        trees(&spec).iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_deeper_path_comes_later() {
        assert_eq!(shown(""), "");
        assert_eq!(
            shown("writable=/a/b/c\nread-only=/a/b/\nread-only=-/a//b/c/d\nwritable=/a/b"),
            "ro:/a/b rw:/a/b rw:/a/b/c ro:/a/b/c/d?"
        );
    }

    #[test]
    fn everything_read_only_spares_what_is_no_file() {
        assert_eq!(shown("read-only=/"), "ro:/ rw:/dev? rw:/proc? rw:/sys?");
        assert_eq!(
            shown("harden=strict\nwritable=/srv"),
            "ro:/~ ro:/sys?~ rw:/srv rw:/dev?~ rw:/proc?~ ro:/proc/sys?~ \
             ro:/proc/sysrq-trigger?~ ro:/proc/irq?~ ro:/proc/bus?~"
                .replace("ro:/~", "ro:/?~")
        );
        assert!(shown("harden=strict\nread-only=//").starts_with("ro:/ ro:/sys?~ rw:/dev? "));
    }
}
