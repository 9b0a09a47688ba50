//! Where in the hierarchy of cgroup v2 our control groups are, what its kernel
//! files take, and what of it there is on this machine.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::{AccessFlags, SysconfVar, Uid, access, sysconf};

use super::{errno, move_out, write};
use crate::config::cgroup::{Cgroup, CpuMax, Memory, Wish};
use crate::config::{Spec, Whom};
use crate::supervise::{Fault, Pid, Step};

/// The keys of the limits, as `Step::Cgroup` numbers them from 1.
pub const LIMITS: [&str; 5] = ["memory-max", "memory-high", "cpu-max", "cpu-weight", "pids-max"];

/// A limit as the kernel has it.
pub(super) struct Limit {
    pub(super) file: &'static str,
    pub(super) controller: &'static str,
    /// What it is without one.
    pub(super) none: &'static str,
    pub(super) value: Option<String>,
}

/// The limits in the order of `LIMITS`.
pub(super) fn limits(cgroup: &Cgroup) -> [Limit; 5] {
    let memory = |memory: Memory| match memory {
        Memory::Bytes(size) => size.to_string(),
        Memory::Percent(share) => (memory_of_all() / 100 * u64::from(share)).to_string(),
    };
    let time = |CpuMax { quota, period }| format!("{quota} {period}");
    let limit = |file, controller, none, value| Limit { file, controller, none, value };
    [
        limit("memory.max", "memory", "max", cgroup.memory_max.map(memory)),
        limit("memory.high", "memory", "max", cgroup.memory_high.map(memory)),
        limit("cpu.max", "cpu", "max", cgroup.cpu_max.map(time)),
        limit("cpu.weight", "cpu", "100", cgroup.cpu_weight.map(|it| it.to_string())),
        limit("pids.max", "pids", "max", cgroup.pids_max.map(|it| it.to_string())),
    ]
}

/// What the machine has.
fn memory_of_all() -> u64 {
    let ask = |what| sysconf(what).ok().flatten().and_then(|it| u64::try_from(it).ok());
    let size = ask(SysconfVar::_PHYS_PAGES).zip(ask(SysconfVar::PAGE_SIZE));
    size.map_or(u64::MAX, |(pages, page)| pages.saturating_mul(page))
}

/// Whether a service is to have a group.
pub fn is_used(spec: &Spec) -> bool {
    match spec.cgroup.wish {
        Wish::Yes => true,
        Wish::No => false,
        Wish::Auto => spec.cgroup.is_limited() || spec.policy.kill == Whom::All,
    }
}

/// The limits that are set, as `Step::Cgroup` numbers them.
fn wanted(spec: &Spec) -> impl Iterator<Item = (u8, Limit)> {
    (1..).zip(limits(&spec.cgroup)).filter(|(_, limit)| limit.value.is_some())
}

/// None of its limits can be set.
pub fn all_lacks(spec: &Spec, errno: i32) -> Vec<Fault> {
    wanted(spec).map(|(which, _)| Fault { step: Step::Cgroup(which), errno }).collect()
}

/// What a service is to have and this machine has not, as far as it can be known
/// without trying.
pub fn lacks(spec: &Spec) -> Vec<Fault> {
    let fault = |step, errno| Fault { step, errno };
    let all = |errno| all_lacks(spec, errno);
    match spec.cgroup.wish {
        Wish::No => return all(libc::EINVAL),
        Wish::Auto if !spec.cgroup.is_limited() => return Vec::new(),
        Wish::Auto | Wish::Yes => {}
    }
    let place = Hierarchy::find().and_then(|it| Ok((it.top.clone(), it.own("self")?)));
    let refused = match &place {
        Err(error) => Some(errno(error)),
        // Another user checks for root.
        Ok((_, own)) if Uid::effective().is_root() => {
            access(own, AccessFlags::W_OK).err().map(|errno| errno as i32)
        }
        Ok(_) => None,
    };
    match (refused, place) {
        (Some(errno), _) if spec.cgroup.is_limited() => all(errno),
        (Some(errno), _) => vec![fault(Step::Cgroup(0), errno)],
        (None, Ok((top, _))) => {
            let there = fs::read_to_string(top.join("cgroup.controllers")).unwrap_or_default();
            let has = |name| there.split_whitespace().any(|it| it == name);
            let missing = wanted(spec).filter(|(_, limit)| !has(limit.controller));
            missing.map(|(which, _)| fault(Step::Cgroup(which), libc::EOPNOTSUPP)).collect()
        }
        (None, Err(_)) => Vec::new(),
    }
}

/// Where cgroup v2 is mounted, alone or beside v1.
struct Hierarchy {
    /// The path of the group which is to be seen there.
    root: PathBuf,
    /// The directory.
    top: PathBuf,
}

impl Hierarchy {
    fn find() -> io::Result<Hierarchy> {
        let text = fs::read("/proc/self/mountinfo")?;
        let mut mounts = text.split(|&byte| byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|&byte| byte == b' ');
            let (root, top) = (fields.nth(3)?, fields.next()?);
            let kind = fields.skip_while(|it| *it != b"-").nth(1)?;
            (kind == b"cgroup2").then(|| Hierarchy { root: path_of(root), top: path_of(top) })
        });
        // Mounted over each other, the last one is seen.
        mounts.next_back().ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }

    /// The directory of the group which `process` is in.
    fn own(&self, process: &str) -> io::Result<PathBuf> {
        let text = fs::read(format!("/proc/{process}/cgroup"))?;
        let mut lines = text.split(|&byte| byte == b'\n');
        let path = lines.find_map(|line| line.strip_prefix(b"0::"));
        let path = Path::new(OsStr::from_bytes(path.unwrap_or_default()));
        let inside = path.strip_prefix(&self.root).ok();
        let is_below = |it: &&Path| it.components().all(|it| it.as_os_str() != "..");
        let inside = inside.filter(is_below);
        // One outside of what is mounted here.
        let inside = inside.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
        Ok(self.top.join(inside))
    }
}

/// A path of /proc/self/mountinfo, in which blanks are `\040`.
fn path_of(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| first == b'\\');
        let octal = octal.and_then(|it| std::str::from_utf8(it).ok());
        let byte = octal.and_then(|it| u8::from_str_radix(it, 8).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    PathBuf::from(OsStr::from_bytes(&bytes))
}

/// The group in which going was started.
pub struct Place {
    own: PathBuf,
}

/// Going itself, if it had to leave the place where it was started.
const SELF: &str = ".going";

impl Place {
    /// Ours is in the group that we are in, or were in before we made room.
    pub(super) fn find(name: &str) -> io::Result<Place> {
        let own = Hierarchy::find()?.own("self")?;
        let outer = own.parent().filter(|_| own.ends_with(Path::new(name).join(SELF)));
        Ok(Place { own: outer.and_then(Path::parent).map_or(own.clone(), Path::to_owned) })
    }

    /// Where it was for the going that started this process of a service.
    pub(super) fn of(pid: Pid, name: &str, service: &str) -> Option<Place> {
        let of = Hierarchy::find().ok()?.own(&pid.0.to_string()).ok()?;
        let group = Path::new(name).join(directory(service));
        // The service may have made groups inside of its own.
        let group = of.ancestors().find(|it| it.ends_with(&group))?;
        Some(Place { own: group.parent()?.parent()?.to_owned() })
    }

    /// The group of all services.
    pub(super) fn ours(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }

    /// The group of one.
    pub(super) fn group(&self, name: &str, service: &str) -> PathBuf {
        self.ours(name).join(directory(service))
    }

    /// Has a controller work in the groups of services. Unless going is in the root
    /// group, it may have to leave its own for that, which is done if it `is_must`.
    pub(super) fn enable(&self, name: &str, controller: &str, is_must: bool) -> io::Result<()> {
        let ours = self.ours(name);
        self.enable_in(&self.own, controller).or_else(|error| {
            if error.raw_os_error() != Some(libc::EBUSY) || !is_must {
                return Err(error);
            }
            let room = ours.join(SELF);
            let _ = fs::create_dir(&room);
            move_out(&self.own, &room)?;
            self.enable_in(&self.own, controller)
        })?;
        self.enable_in(&ours, controller)
    }

    fn enable_in(&self, group: &Path, controller: &str) -> io::Result<()> {
        let has = |file| {
            let text = fs::read_to_string(group.join(file)).unwrap_or_default();
            text.split_whitespace().any(|it| it == controller)
        };
        if has("cgroup.subtree_control") {
            return Ok(());
        }
        if !has("cgroup.controllers") {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        // The root alone may have processes and share itself out. For others the
        // kernel refuses some controllers; by the rest their groups would become
        // threaded, into which no process can go (cgroups(7)).
        let processes = fs::read(group.join("cgroup.procs")).unwrap_or_default();
        if !processes.is_empty() && group.join("cgroup.type").exists() {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        write(&group.join("cgroup.subtree_control"), &format!("+{controller}"))
    }
}

/// No file of the kernel's has such a name, whatever a service is called.
fn directory(service: &str) -> String {
    format!("{service}.service")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_mountinfo_are_octal() {
        for (field, path) in [("/a", "/a"), ("/a\\040b", "/a b"), ("\\134x\\9", "\\x\\9")] {
            assert_eq!(path_of(field.as_bytes()), Path::new(path));
        }
    }

    #[test]
    fn the_keys_are_in_the_order_of_the_limits() {
        for (key, limit) in LIMITS.iter().zip(limits(&Cgroup::default())) {
            assert_eq!(key.replace('-', "."), limit.file);
            assert!(limit.value.is_none());
        }
    }
}
