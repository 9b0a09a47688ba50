//! Root given up for good, before anything is opened: we are executed once more, so
//! that nothing of what root had is left in memory or hidden from who we are then.

use std::ffi::CString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::Path;

use nix::unistd::{Uid, User};

use crate::daemon::options::Options;
use crate::daemon::{spawn, upgrade};
use crate::sys;
use crate::sys::identity::{Identity, take_identity};

/// What the one who started us has in these is not this user's.
const FOREIGN: [&[u8]; 6] = [b"XDG_", b"HOME=", b"USER=", b"LOGNAME=", b"SHELL=", b"MAIL="];

/// What others write into stays theirs.
const OTHERS_WRITE: u32 = 0o022;

/// Becomes the user that the options name, if we are not; a run directory and one of logs
/// that they name are made for it.
///
/// # Errors
/// Why not, in words.
pub fn become_user(options: &Options) -> Result<(), String> {
    let Some(name) = &options.user else { return Ok(()) };
    let failed = |why: String| format!("Can't become {name}: {why}");
    let account = spawn::find_login(name).map_err(|it| failed(sys::describe(it.errno)))?;
    let Some((identity, entry)) = account else { return Err(failed("no such user".to_owned())) };
    if identity.uid == Uid::effective() {
        return Ok(());
    }
    let run = options.run_directory.as_deref().filter(|_| options.is_run_directory_given);
    let log = options.log_directory.as_deref().filter(|_| options.is_log_directory_given);
    for path in [run, log].into_iter().flatten() {
        give(path, &identity)
            .map_err(|why| failed(format!("{}: {}", path.display(), sys::explain(&why))))?;
    }
    take_identity(Some(&identity)).map_err(|it| failed(sys::describe(it.errno)))?;
    let path = upgrade::own_program().ok_or_else(|| failed("our program is gone".to_owned()))?;
    let mut image = upgrade::image(&path, None);
    image.envp.retain(|line| !FOREIGN.iter().any(|it| line.as_bytes().starts_with(it)));
    image.envp.extend(lines(&entry));
    let errno = sys::image::replace(&image);
    Err(failed(format!("can't execute {}: {}", path.display(), sys::describe(errno))))
}

fn lines(entry: &User) -> impl Iterator<Item = CString> {
    let (home, shell) = (entry.dir.display(), entry.shell.display());
    let name = &entry.name;
    let lines = [
        format!("HOME={home}"),
        format!("USER={name}"),
        format!("LOGNAME={name}"),
        format!("SHELL={shell}"),
    ];
    lines.into_iter().filter_map(|it| CString::new(it).ok())
}

/// Makes a directory for the user, where nobody but root could put something else in its
/// place meanwhile.
fn give(path: &Path, identity: &Identity) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|_| path.is_absolute() && !path.exists()) else {
        return Ok(());
    };
    let place = fs::metadata(parent)?;
    if place.uid() != 0 || place.mode() & OTHERS_WRITE != 0 {
        return Ok(());
    }
    DirBuilder::new().mode(0o755).create(path)?;
    chown(path, Some(identity.uid.as_raw()), Some(identity.gid.as_raw()))
}
