//! What a child sees of the system, between fork and exec: the rules of `child.rs`
//! hold here, too. Paths mean what they mean to the service, hence the new `/` comes
//! before the trees: no link in there leads us out.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_short, c_uint, c_ulong};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::unistd;

use super::capabilities::Capabilities;
use super::child::fault;
use super::limits::Limits;
use crate::supervise::{Fault, Step};

/// All that a child is wrapped in; by default in nothing.
#[derive(Default)]
pub struct Wrapping {
    /// How much it may take.
    pub limits: Limits,
    /// What it sees of the system.
    pub sandbox: Sandbox,
    /// The rights of root which it keeps; `None` for all it has.
    pub capabilities: Option<Capabilities>,
    /// Whether nothing it executes gets more rights than it has.
    pub no_new_privs: bool,
}

/// Whether a service does without what the kernel refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It does not run.
    Must,
    /// It does, and that is told.
    May,
}

/// Ready for use after fork.
#[derive(Default)]
pub struct Sandbox {
    /// In the order of `config::child::PRIVATES`: net, ipc, uts, tmp.
    pub private: [Option<Need>; 4],
    /// The directory that is to be `/`.
    pub chroot: Option<CString>,
    /// What is read-only or not, those in the depths last; at most as many
    /// writable ones as there is room for.
    pub trees: Vec<Tree>,
}

/// Files from a path downwards.
pub struct Tree {
    /// As the service sees it.
    pub path: CString,
    /// What to say if it fails: `ReadOnly`, or `Writable` for exceptions, which stay
    /// what they were before.
    pub step: Step,
    /// Whether it must be there.
    pub is_optional: bool,
    /// What if the kernel refuses.
    pub need: Need,
}

/// Room for writable trees: those of the keys, and some of our own.
pub const WRITABLE_MAX: usize = 40;

/// Temporary files are in there.
const TMP: [&CStr; 2] = [c"/tmp", c"/var/tmp"];
const TMP_INDEX: u8 = 3;

/// Leaves what is shared, for something of its own.
pub(super) fn enter(sandbox: &Sandbox, lack: impl Fn(Fault)) -> Result<(), Fault> {
    let bear = |need: Need, outcome: Result<(), Fault>| match outcome {
        Err(fault) if need == Need::May => {
            lack(fault);
            Ok(())
        }
        outcome => outcome,
    };
    let flags = [libc::CLONE_NEWNET, libc::CLONE_NEWIPC, libc::CLONE_NEWUTS];
    for ((need, flag), which) in sandbox.private.iter().zip(flags).zip(0_u8..) {
        let Some(need) = *need else { continue };
        let outcome =
            unshare(flag).and_then(|()| if which == 0 { raise_loopback() } else { Ok(()) });
        bear(need, outcome.map_err(|errno| fault(Step::Private(which), errno)))?;
    }
    let [_, _, _, tmp] = sandbox.private;
    let mut has_mounts = tmp.is_some() || !sandbox.trees.is_empty();
    if has_mounts {
        let is_must = |tree: &&Tree| tree.need == Need::Must && !is_writable(tree);
        let first = sandbox.trees.iter().find(is_must);
        let must = first.map(|tree| tree.step);
        let must = must.or(tmp.filter(|&it| it == Need::Must).map(|_| Step::Private(TMP_INDEX)));
        let step = must.unwrap_or(Step::ReadOnly(0));
        let need = must.map_or(Need::May, |_| Need::Must);
        let outcome = unshare(libc::CLONE_NEWNS).and_then(|()| detach_mounts());
        has_mounts = outcome.is_ok();
        if let (Err(errno), Some(Need::May)) = (outcome, tmp) {
            lack(fault(Step::Private(TMP_INDEX), errno));
        }
        bear(need, outcome.map_err(|errno| fault(step, errno)))?;
    }
    if let Some(path) = &sandbox.chroot {
        change_root(path, has_mounts).map_err(|errno| fault(Step::Chroot, errno))?;
    }
    if !has_mounts {
        return Ok(());
    }
    set_trees(&sandbox.trees, &bear)?;
    if let Some(need) = tmp {
        let outcome = TMP.iter().try_for_each(|path| mount_tmp(path));
        bear(need, outcome.map_err(|errno| fault(Step::Private(TMP_INDEX), errno)))?;
    }
    Ok(())
}

fn is_writable(tree: &Tree) -> bool {
    matches!(tree.step, Step::Writable(_))
}

/// Makes trees read-only. What is to stay writable is kept aside meanwhile, as it
/// is, so that what was read-only before stays so.
fn set_trees(
    trees: &[Tree],
    bear: &impl Fn(Need, Result<(), Fault>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut kept = [const { None }; WRITABLE_MAX];
    for (tree, place) in trees.iter().filter(|tree| is_writable(tree)).zip(&mut kept) {
        match copy_tree(&tree.path) {
            Ok(copy) => *place = Some(copy),
            Err(Errno::ENOENT) if tree.is_optional => {}
            Err(errno) => bear(tree.need, Err(fault(tree.step, errno)))?,
        }
    }
    let mut kept = kept.into_iter();
    for tree in trees {
        let outcome = if is_writable(tree) {
            match kept.next().flatten() {
                Some(copy) => put_tree(&copy, &tree.path),
                None => Ok(()),
            }
        } else {
            make_read_only(&tree.path)
        };
        match outcome {
            Err(Errno::ENOENT) if tree.is_optional => {}
            outcome => bear(tree.need, outcome.map_err(|errno| fault(tree.step, errno)))?,
        }
    }
    Ok(())
}

fn unshare(flag: c_int) -> Result<(), Errno> {
    // SAFETY: no memory is passed, and there is one thread.
    Errno::result(unsafe { libc::unshare(flag) }).map(|_| ())
}

/// What is mounted from now on is seen by nobody else; what others mount and
/// unmount still is seen here, or they could not take a disk out.
fn detach_mounts() -> Result<(), Errno> {
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_SLAVE, None)
}

/// `is_mount` makes a mount of it, since only mounts are made read-only.
fn change_root(path: &CStr, is_mount: bool) -> Result<(), Errno> {
    if is_mount {
        mount(path, path, None, libc::MS_BIND | libc::MS_REC, None)?;
    }
    // SAFETY: path is a C string.
    Errno::result(unsafe { libc::chroot(path.as_ptr()) })?;
    unistd::chdir(c"/")
}

/// An empty directory for everybody, gone with the last process that sees it.
fn mount_tmp(path: &CStr) -> Result<(), Errno> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    match mount(c"tmpfs", path, Some(c"tmpfs"), flags, Some(c"mode=1777")) {
        // Some systems have no /var/tmp.
        Err(Errno::ENOENT) if path != c"/tmp" => Ok(()),
        outcome => outcome,
    }
}

fn mount(
    source: &CStr,
    target: &CStr,
    kind: Option<&CStr>,
    flags: c_ulong,
    options: Option<&CStr>,
) -> Result<(), Errno> {
    let pointer = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
    let options = pointer(options).cast();
    // SAFETY: all are C strings, or null where mount(2) allows it.
    let done =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), pointer(kind), flags, options) };
    Errno::result(done).map(|_| ())
}

/// struct mount_attr of mount_setattr(2), Linux 5.12.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    namespace: u64,
}
const READ_ONLY: u64 = 1;

fn make_read_only(path: &CStr) -> Result<(), Errno> {
    // The root of the service is a mount already, and one on top would not be
    // its root.
    if path != c"/" {
        mount(path, path, None, libc::MS_BIND | libc::MS_REC, None)?;
    }
    let attributes = Attributes { set: READ_ONLY, clear: 0, propagation: 0, namespace: 0 };
    // SAFETY: path is a C string, attributes a mount_attr of that size.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            AT_RECURSIVE,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    Errno::result(done).map(|_| ())
}
const AT_RECURSIVE: c_uint = 0x8000;

/// Everything mounted there, apart from the rest (open_tree(2), Linux 5.2).
fn copy_tree(path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE | c_uint::try_from(libc::O_CLOEXEC).unwrap_or(0);
    // SAFETY: path is a C string.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    own(fd)
}
const OPEN_TREE_CLONE: c_uint = 1;

/// Lays a copy over its place (move_mount(2)).
fn put_tree(copy: &OwnedFd, path: &CStr) -> Result<(), Errno> {
    let (fd, empty): (c_int, *const c_char) = (copy.as_raw_fd(), c"".as_ptr());
    // SAFETY: both paths are C strings, and the descriptor is open.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            fd,
            empty,
            libc::AT_FDCWD,
            path.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    Errno::result(done).map(|_| ())
}
const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 4;

fn own(fd: c_long) -> Result<OwnedFd, Errno> {
    let fd = c_int::try_from(Errno::result(fd)?).unwrap_or(-1);
    // SAFETY: the kernel just made this descriptor, and we are the first to own it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// struct ifreq of netdevice(7), as far as it is about flags.
#[repr(C)]
struct Interface {
    name: [u8; libc::IFNAMSIZ],
    flags: c_short,
    rest: [u8; 22],
}

/// A new network has nothing but a loopback, which is down.
fn raise_loopback() -> Result<(), Errno> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: no memory is passed.
    let socket = own(c_long::from(unsafe { libc::socket(libc::AF_INET, kind, 0) }))?;
    let mut name = [0; libc::IFNAMSIZ];
    for (place, byte) in name.iter_mut().zip(*b"lo") {
        *place = byte;
    }
    let flags = c_short::try_from(libc::IFF_UP).unwrap_or(0);
    let interface = Interface { name, flags, rest: [0; 22] };
    // SAFETY: interface is as large as any ifreq, and only read.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), SET_FLAGS, &raw const interface) };
    Errno::result(done).map(|_| ())
}

/// SIOCSIFFLAGS, the type of which is another one in each libc.
const SET_FLAGS: libc::Ioctl = 0x8914;
