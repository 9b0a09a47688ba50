//! Reads secrets at the moment when they are needed, so that a new one counts at once.
//! None is ever shown.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use nix::unistd::Uid;

use super::super::settings::Source;
use crate::sys;

/// Why there is none.
pub enum Missing {
    /// The file is not as it must be.
    File(String),
    /// The variable is not there.
    Variable(String),
}

impl Missing {
    /// In words.
    pub fn sentence(self) -> String {
        match self {
            Missing::File(why) | Missing::Variable(why) => why,
        }
    }
}

/// In bytes.
const SECRET_MAX: u64 = 64 * 1024;

/// Reads it.
pub fn read(source: &Source) -> Result<String, Missing> {
    let text = match source {
        Source::Variable(name) => std::env::var(name)
            .map_err(|_| Missing::Variable(format!("{name} is not in the environment")))?,
        Source::File(path) => from_file(path).map_err(Missing::File)?,
    };
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() || text.contains(char::is_control) {
        let what = "the secret must be one line, and not empty".to_owned();
        return Err(match source {
            Source::Variable(name) => Missing::Variable(format!("{name}: {what}")),
            Source::File(path) => Missing::File(format!("{path}: {what}")),
        });
    }
    Ok(text.to_owned())
}

fn from_file(path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{path}: {}", sys::explain(&error));
    let file = File::open(path).map_err(failed)?;
    let stat = file.metadata().map_err(failed)?;
    if stat.mode() & 0o077 != 0 {
        return Err(format!("{path}: others can read it; chmod 600 {path}"));
    }
    if stat.uid() != Uid::effective().as_raw() && stat.uid() != 0 {
        return Err(format!("{path}: it belongs to somebody else (uid {})", stat.uid()));
    }
    let mut text = String::new();
    file.take(SECRET_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
