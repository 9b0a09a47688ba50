//! The socket on which services say how they are (sd_notify(3)). Everybody may send
//! there, and only who belongs to a service is listened to: who that is tell the
//! kernel, which names the sender of each message, and /proc.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, setsockopt, socket};

use super::super::family;
use super::super::report::{Level, report};
use super::super::stat::Stat;
use super::{Daemon, WAITS};
use crate::protocol::notice::{self, NOTICE_MAX};
use crate::supervise::{Pid, Slot};
use crate::sys::pipes;

/// So many are taken in one turn: others have theirs.
const NOTICES_A_TURN: usize = 64;

/// No family is deeper.
const DEPTH_MAX: usize = 64;

/// The socket is known to the poll by this.
const TOKEN: Token = Token(WAITS - 1);

/// The socket, and where it is.
pub(super) struct Notices {
    pub(super) socket: OwnedFd,
    path: PathBuf,
}

impl Drop for Notices {
    /// Leaves no socket on which nobody listens.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Notices {
    /// Opens the socket. What is there already is a dead going's, for the directory is
    /// ours; or it is the one that was handed over to us.
    fn open(path: PathBuf, handed: Option<OwnedFd>, registry: &Registry) -> io::Result<Notices> {
        let socket = match handed {
            Some(socket) => socket,
            None => {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
                let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
                // Before anybody can send: the kernel names no sender afterwards.
                setsockopt(&socket, PassCred, &true)?;
                bind(socket.as_raw_fd(), &UnixAddr::new(&path)?)?;
                socket
            }
        };
        let notices = Notices { socket, path };
        fs::set_permissions(&notices.path, Permissions::from_mode(0o666))?;
        registry.register(&mut SourceFd(&notices.socket.as_raw_fd()), TOKEN, Interest::READABLE)?;
        Ok(notices)
    }
}

impl Daemon {
    /// Whether there is a socket, ours or one that was handed over.
    pub(super) fn has_notices(&self) -> bool {
        let readiness = self.readiness.as_ref();
        readiness
            .is_some_and(|it| it.notices.is_some() || it.left.iter().any(|(_, text)| text == "n"))
    }

    /// Opens the socket if it is not open; its path.
    pub(super) fn open_notices(&mut self) -> io::Result<String> {
        let readiness = self.readiness.get_or_insert_default();
        let directory = self.server.as_ref().map(|it| &it.run_directory.path);
        let none = || io::Error::from_raw_os_error(Errno::ENOENT as i32);
        // Services have working directories of their own.
        let path = fs::canonicalize(directory.ok_or_else(none)?)?.join("notify");
        if readiness.notices.is_none() {
            let index = readiness.left.iter().position(|(_, text)| text == "n");
            let handed = index.map(|index| readiness.left.swap_remove(index).0);
            let opened = Notices::open(path.clone(), handed, self.poll.registry())?;
            readiness.notices = Some(opened);
            readiness.has_more = true;
        }
        path.into_os_string().into_string().map_err(|_| Errno::EILSEQ.into())
    }

    /// Opens the socket anew if it is not there any more; whether that was so.
    pub(in super::super) fn renew_notices(&mut self) -> bool {
        let notices = self.readiness.as_ref().and_then(|it| it.notices.as_ref());
        if notices.is_none_or(|it| it.path.exists()) {
            return false;
        }
        if let Some(readiness) = &mut self.readiness {
            readiness.notices = None;
        }
        // Whoever needs it next is told if it cannot be.
        let _ = self.open_notices();
        true
    }

    /// Takes what has been sent.
    pub(super) fn hear_notices(&mut self) {
        let Some(readiness) = &mut self.readiness else { return };
        let Some(notices) = readiness.notices.take() else { return };
        let mut buffer = vec![0; NOTICE_MAX + 1];
        let mut has_more = true;
        for _ in 0..NOTICES_A_TURN {
            // Descriptors that came along are closed here: who sent BARRIER=1 with one
            // waits for that, and all before it has been heard.
            let Ok(received) = pipes::receive(notices.socket.as_fd(), &mut buffer) else {
                has_more = false;
                break;
            };
            let text = buffer.get(..received.length).unwrap_or_default();
            self.take_notice(received.sender, text);
        }
        let readiness = self.readiness.get_or_insert_default();
        readiness.has_more |= has_more;
        readiness.notices = Some(notices);
    }

    fn take_notice(&mut self, sender: Option<(i32, u32)>, text: &[u8]) {
        let (pid, uid) = sender.unwrap_or((0, 0));
        if text.len() > NOTICE_MAX {
            return self.complain_of_length(Pid(pid), uid);
        }
        let notices = notice::read(text);
        if notices.is_empty() {
            return;
        }
        if let Some(slot) = self.speaker(Pid(pid), uid) {
            notices.into_iter().for_each(|it| self.heed(slot, it));
        } else if let Some(readiness) = self.readiness.as_mut().filter(|it| !it.is_stranger_told) {
            readiness.is_stranger_told = true;
            let whose = "no process of a service with ready=notify or watchdog, or is dead";
            let once = "others will not be told of";
            report!(
                self.reporter,
                Level::Warning,
                "notice of pid {pid}, user {uid}, dropped: it is {whose}; {once}"
            );
        }
    }

    /// What is cut off may change what it says, so nothing of it is taken.
    fn complain_of_length(&mut self, pid: Pid, uid: u32) {
        let Some(slot) = self.speaker(pid, uid) else { return };
        let name = self.supervisor.get(slot).map_or("", |it| &it.name);
        let fact = "a notice is dropped, for it is longer than";
        report!(self.reporter, Level::Warning, "{name}: {fact} {NOTICE_MAX} bytes");
    }

    /// Whether it is listened to what a service says.
    fn is_heard(&self, slot: Slot) -> bool {
        self.supervisor.get(slot).is_some_and(|it| it.definition.policy.care.is_heard())
    }

    /// The service, among those that are listened to, that a process belongs to.
    pub(super) fn speaker(&self, pid: Pid, uid: u32) -> Option<Slot> {
        if pid.0 <= 1 {
            return None;
        }
        if let Some(slot) = self.supervisor.find_pid(pid) {
            return Some(slot).filter(|&it| self.is_heard(it));
        }
        let us = Pid(i32::try_from(std::process::id()).unwrap_or(0));
        let first = Stat::read(pid)?;
        let (mut parent, mut is_ours) = (first.parent, false);
        for _ in 0..DEPTH_MAX {
            is_ours = parent == us;
            if let Some(slot) = self.supervisor.find_pid(parent) {
                return Some(slot).filter(|&it| self.is_heard(it));
            }
            if is_ours || parent.0 <= 1 {
                break;
            }
            parent = Stat::read(parent)?.parent;
        }
        // While a session or a group lasts, nobody else gets its number as a pid.
        let of = |it| self.supervisor.find_pid(it).filter(|&slot| self.is_heard(slot));
        let near = of(first.session).or_else(|| of(first.group));
        // All others descend from us, but for what an earlier going started.
        let is_near = is_ours || self.legacy.has_others();
        let grouped = || if is_near { self.speaker_by_cgroup(pid) } else { None };
        near.or_else(grouped).or_else(|| {
            // Left its session and lost its parents: then it says itself of whom it is,
            // and could say anything, but for the user that it has.
            let name = family::service_of(pid, None).filter(|_| is_ours)?;
            let slot = self.supervisor.find(std::str::from_utf8(&name).ok()?)?;
            let main = self.supervisor.get(slot)?.state.pid()?;
            let owner = fs::metadata(format!("/proc/{}", main.0)).ok()?.uid();
            Some(slot).filter(|&it| (uid == 0 || uid == owner) && self.is_heard(it))
        })
    }

    fn speaker_by_cgroup(&self, pid: Pid) -> Option<Slot> {
        let is_it = |slot, name: &str| self.cgroups.processes(slot, name).contains(&pid);
        let mut all = self.supervisor.services();
        all.find(|(slot, it)| self.is_heard(*slot) && is_it(*slot, &it.name)).map(|(slot, _)| slot)
    }
}
