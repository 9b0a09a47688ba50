//! The pipes of services that ran on while nobody supervised them: they hold
//! their own ends, and through /proc those can be opened once more. Nothing but
//! a pipe of the very number that was written down is ever taken for one.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;

use super::Daemon;
use super::logger;
use super::logs::Pipe;
use super::pipes::{Run, Which};
use super::report::{Level, report};
use crate::config::Signal;
use crate::supervise::{Pid, Slot};
use crate::sys::{self, processes};

impl Daemon {
    /// Opens the pipes of a service that runs already, if it still holds them.
    pub(super) fn reclaim_pipes(&mut self, slot: Slot, pid: Pid, ids: [u64; 3]) {
        let [stdin, stdout, stderr] = ids;
        let mut run = Run::default();
        let mut left = [0; 3];
        let [in_left, out_left, err_left] = &mut left;
        let take = |id, is_written, left: &mut u64| {
            let found = if id == 0 { Ok(None) } else { find_pipe(pid, id, is_written) };
            found.unwrap_or_else(|_| {
                *left = id;
                None
            })
        };
        run.input = take(stdin, true, in_left);
        for (id, which, left) in
            [(stdout, Which::Stdout, out_left), (stderr, Which::Stderr, err_left)]
        {
            // After an upgrade it may have been handed over to us meanwhile.
            let is_it = |pipe: &Pipe| u64::from(pipe.id) == id;
            let is_known = self.logs.as_ref().is_some_and(|it| it.pipes.iter().any(is_it));
            if !is_known {
                run.outputs.extend(take(id, false, left).map(|end| (end, which)));
            }
        }
        self.take_pipes(slot, run, None);
        if left != [0; 3] {
            self.arrears.pipes.push((slot, pid, left));
        }
    }

    /// The pipes that going-log has not read to their ends, for a going that takes our
    /// place: descriptors, and what it must know of each.
    pub(super) fn bequeathed_pipes(&self) -> Vec<(RawFd, String)> {
        let Some(logs) = &self.logs else { return Vec::new() };
        let name = |slot| self.supervisor.get(slot).map(|it| &*it.name);
        let pipes = logs.pipes.iter().filter_map(|pipe| {
            let gone = || logs.gone.iter().find(|(id, _)| *id == pipe.id).map(|(_, name)| &**name);
            let name = pipe.slot.and_then(name).or_else(gone)?;
            let letter = if pipe.which == Which::Stdout { 'o' } else { 'e' };
            Some((pipe.end.as_raw_fd(), format!("{letter}{name}")))
        });
        pipes.collect()
    }

    /// Takes them over, but for those which were found by their services already.
    pub(super) fn inherit_pipes(&mut self, pipes: Vec<(OwnedFd, String)>) {
        for (end, text) in pipes {
            let (letter, name) = text.split_at_checked(1).unwrap_or_default();
            let which = if letter == "o" { Which::Stdout } else { Which::Stderr };
            let slot = self.supervisor.find(name);
            if let Some(logs) = &mut self.logs {
                logs.inherit(end, slot, name, which);
            }
        }
    }

    /// Connects to a going-log that ran on. One that cannot be talked to is
    /// killed, and so replaced.
    pub(super) fn rejoin_logger(&mut self, pid: Pid) {
        let Some(logs) = &mut self.logs else { return };
        let joined = logs.place.rejoin().and_then(|it| logs.connect(it, self.poll.registry()));
        if let Err(error) = joined {
            let why = crate::sys::explain(&error);
            report!(self.reporter, Level::Warning, "{}: can't be reached: {why}", logger::NAME);
            // It was found by its pid and start time in this very turn.
            let _ = processes::signal(pid, Signal::KILL);
        }
    }
}

/// A pipe of this number among the descriptors of a process, opened once more.
///
/// # Errors
/// There are no descriptors or there is no memory for it now.
fn find_pipe(pid: Pid, id: u64, is_written: bool) -> io::Result<Option<OwnedFd>> {
    let passing = |error: &io::Error| sys::is_passing(error);
    let entries = match fs::read_dir(format!("/proc/{}/fd", pid.0)) {
        Ok(entries) => entries,
        Err(error) if passing(&error) => return Err(error),
        Err(_) => return Ok(None),
    };
    for entry in entries {
        let found = entry.and_then(|entry| open_pipe(&entry.path(), id, is_written));
        match found {
            Ok(None) => {}
            Err(error) if !passing(&error) => {}
            done => return done,
        }
    }
    Ok(None)
}

fn open_pipe(path: &Path, id: u64, is_written: bool) -> io::Result<Option<OwnedFd>> {
    // Links to pipes read `pipe:[NUMBER]` (proc(5)), and cost no opening.
    let link = fs::read_link(path)?;
    if link.to_str() != Some(&format!("pipe:[{id}]")) {
        return Ok(None);
    }
    let file = OpenOptions::new()
        .read(!is_written)
        .write(is_written)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    Ok((file.metadata()?.ino() == id).then(|| file.into()))
}
