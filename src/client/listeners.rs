//! Those who want to hear what is said to all of them: each has a socket in a
//! directory of going's run directory. They are others than going, which knows
//! nothing of them.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::Place;

/// One of them may take so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// In bytes. Nobody says more at once.
pub const SAID_MAX: u64 = 4 * 1024 * 1024;

/// Where their sockets are.
pub fn folder(place: &Place) -> PathBuf {
    place.socket.with_file_name("listeners")
}

/// Says something of a kind to all of them; how many heard it. Whose socket we may not
/// open has decided not to hear us.
///
/// # Errors
/// It is too long.
pub fn tell(place: &Place, kind: &str, text: &[u8]) -> io::Result<usize> {
    // The kind is a line.
    let mut said = kind.replace(['\n', '\r'], " ").into_bytes();
    said.push(b'\n');
    said.extend_from_slice(text);
    if u64::try_from(said.len()).unwrap_or(u64::MAX) > SAID_MAX {
        return Err(io::Error::other("it is too long"));
    }
    let entries = fs::read_dir(folder(place)).into_iter().flatten().flatten();
    Ok(entries.filter(|entry| say(&entry.path(), &said).is_ok()).count())
}

fn say(path: &std::path::Path, said: &[u8]) -> io::Result<()> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(said)?;
    stream.shutdown(Shutdown::Write)?;
    // It is heard when they say so.
    stream.read_exact(&mut [0; 3])
}
