//! Where service files are: where the running going looks for them, or where one
//! would, if none runs.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::Session;
use crate::client::Trouble;
use crate::protocol::{Command, Request};

/// Finds the directory.
///
/// # Errors
/// Nobody can say.
pub fn find(session: &Session) -> Result<PathBuf, Trouble> {
    let reply = session.ask(&Request::new(Command::Myself)).unwrap_or_default();
    let told = reply.blocks.iter().find_map(|block| Some((block.get("directory")?, block)));
    if let Some((directory, block)) = told {
        let directory = Path::new(directory);
        if directory.is_absolute() {
            return Ok(directory.to_owned());
        }
        // Relative to where that going was started.
        let start = block.get("pid").map(|pid| fs::read_link(format!("/proc/{pid}/cwd")));
        let unknown = format!("going reads {}; name it with -d", directory.display());
        let start = start.and_then(Result::ok).ok_or(Trouble::Failed(unknown))?;
        return Ok(start.join(directory));
    }
    if Uid::effective().is_root() {
        return Ok(PathBuf::from("/etc/going.d"));
    }
    let set = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let config = config.or_else(|| Some(set("HOME")?.join(".config")));
    let missing = "neither XDG_CONFIG_HOME nor HOME is set, so name the directory with -d";
    Ok(config.ok_or(Trouble::Failed(missing.to_owned()))?.join("going.d"))
}
