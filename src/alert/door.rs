//! Sockets of ours in going's run directory, which nobody but our own user and root
//! can open, unless one is given to somebody else.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// Who comes has all of it in hand, and takes no longer between two pieces.
const PATIENCE: Duration = Duration::from_millis(500);

/// Listens there, so that it is decided who may connect before anybody can.
///
/// # Errors
/// As bind(2), chown(2) and rename(2).
pub fn bind(path: &Path, user: Option<u32>) -> io::Result<UnixListener> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parent = path.parent().unwrap_or(Path::new("/"));
    let draft = parent.join(format!(".{name}-{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    let listener = UnixListener::bind(&draft)?;
    fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
    if user.is_some() {
        chown(&draft, user, None)?;
    }
    fs::rename(&draft, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The next one who comes.
pub fn accept(listener: &UnixListener) -> Option<UnixStream> {
    let (stream, _) = listener.accept().ok()?;
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}
