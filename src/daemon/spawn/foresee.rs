//! What a child would fail at, as far as it can be known without one. Nothing is
//! changed, and nothing that heals by itself is told.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Uid;

use super::super::cgroup;
use super::{environment, is_executable, known_surroundings, wrap};
use crate::config::Spec;
use crate::config::limits::read_affinity;
use crate::supervise::{Fault, Step};
use crate::sys::{capabilities, limits};

/// By which limits are raised (capabilities(7)).
const SYS_RESOURCE: u8 = 24;

/// All that can be told about a service that could be prepared.
pub fn faults(name: &str, spec: &Spec) -> Vec<Fault> {
    let mut faults = Vec::new();
    faults.extend(missing_command(name, spec));
    faults.extend(high_limits(spec));
    faults.extend(missing_processors(spec));
    faults.extend(missing_places(spec));
    faults.extend(missing_capabilities(spec));
    faults.extend(cgroup::lacks(spec));
    faults
}

/// A command given by its whole path is found, or not, at exec only.
fn missing_command(name: &str, spec: &Spec) -> Option<Fault> {
    let command = spec.cmd.first()?;
    let environment = known_surroundings(name, spec);
    let command = environment.expand(command, environment::CMD).ok()?;
    let command = Path::new(OsStr::from_bytes(&command));
    if !command.is_absolute() {
        return None;
    }
    let errno = match spec.sandbox.chroot.as_deref() {
        None => fs::metadata(command).err()?.raw_os_error()?,
        Some(root) => is_executable(command, Some(root)).err()? as i32,
    };
    Some(Fault { step: Step::Execute, errno })
}

/// Limits above the hard one that there is, which not every root may raise.
fn high_limits(spec: &Spec) -> impl Iterator<Item = Fault> {
    let may_raise = capabilities::permitted() >> SYS_RESOURCE & 1 == 1;
    let wanted = spec.limits.resources.iter().zip(0_u8..);
    wanted.filter_map(move |(limit, which)| {
        let is_high =
            limit.is_some_and(|it| limits::hard_limit(which).is_some_and(|hard| it.hard > hard));
        (is_high && !may_raise).then_some(Fault { step: Step::Limit(which), errno: libc::EPERM })
    })
}

/// Whether none of the processors is there; of some, the kernel takes the rest.
fn missing_processors(spec: &Spec) -> Option<Fault> {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
    let online = read_affinity(online.trim()).ok()?;
    let wanted = &spec.limits.cpu_affinity;
    let is_none = |(one, other): (&u64, &u64)| one & other == 0;
    let is_missing = !wanted.is_empty() && wanted.iter().zip(&online).all(is_none);
    is_missing.then_some(Fault { step: Step::Affinity, errno: libc::EINVAL })
}

/// Directories and trees that must be there.
fn missing_places(spec: &Spec) -> Vec<Fault> {
    let root = spec.sandbox.chroot.as_deref();
    let missing = |path: &Path| fs::metadata(path).err().and_then(|error| error.raw_os_error());
    let chroot = root.and_then(|root| match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => None,
        Ok(_) => Some(Errno::ENOTDIR as i32),
        Err(error) => error.raw_os_error(),
    });
    if let Some(errno) = chroot {
        return vec![Fault { step: Step::Chroot, errno }];
    }
    let trees = wrap::trees(spec).into_iter().filter(|tree| !tree.is_optional);
    let trees = trees.filter_map(|tree| {
        let inside = tree.path.strip_prefix("/").unwrap_or(&tree.path);
        let path = root.map_or_else(|| tree.path.clone(), |root| PathBuf::from(root).join(inside));
        missing(&path).map(|errno| Fault { step: tree.step, errno })
    });
    trees.collect()
}

/// What cannot be kept because root itself does not have it, as in containers.
fn missing_capabilities(spec: &Spec) -> impl Iterator<Item = Fault> {
    let permitted = capabilities::permitted();
    let kept = spec.sandbox.capabilities.unwrap_or(0);
    // Another user checks for root, who has more.
    let is_root = Uid::effective().is_root();
    (0_u8..64)
        .filter(move |number| is_root && kept & !permitted & 1_u64 << number != 0)
        .map(|number| Fault { step: Step::Capability(number), errno: libc::EPERM })
}
