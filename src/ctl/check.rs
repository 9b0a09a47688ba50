//! `goingctl check`: service files looked at without any going at work. Single
//! files are read by the same parser; a directory is looked at by `going --check`,
//! which also sees what its files name.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ArgMatches;

use super::{Ending, Session, complain, directory, options, plan, print};
use crate::client::Trouble;
use crate::config::{Complaint, draft, grammar};
use crate::sys;

/// Performs it.
pub fn check(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let files: Vec<PathBuf> =
        matches.get_many::<PathBuf>("file").into_iter().flatten().cloned().collect();
    if files.is_empty() {
        return match options::value::<PathBuf>(matches, "dir") {
            Some(directory) => check_directory(&directory),
            None => check_directory(&directory::find(session)?),
        };
    }
    // A directory as a file is what a slip of the finger makes of -d.
    if let [only] = files.as_slice() {
        if only.is_dir() {
            return check_directory(only);
        }
    }
    let mut ending = Ending::Done;
    for file in &files {
        ending = ending.max(check_file(file)?);
    }
    Ok(ending)
}

/// Has `going --check` look at a directory.
#[expect(clippy::disallowed_methods, reason = "it starts going, which is no service")]
fn check_directory(directory: &Path) -> Result<Ending, Trouble> {
    let mut command = Command::new(program());
    let status = command.arg("--check").arg("-d").arg(directory).status();
    let status = status.map_err(|error| {
        Trouble::Failed(format!("can't run going --check: {}", sys::explain(&error)))
    })?;
    Ok(if status.success() { Ending::Done } else { Ending::Failed })
}

/// What `going --check` says of the text of one file, were it a service of this
/// name: the complaints, without where they are. Nothing if there is no going to
/// ask, for then there is none to run the service either.
///
/// # Errors
/// What mkdir(2) and open(2) say.
#[expect(clippy::disallowed_methods, reason = "it starts going, which is no service")]
pub fn examine(name: &str, text: &str) -> io::Result<Vec<String>> {
    let folder = std::env::temp_dir().join(format!("goingctl-new.{}", std::process::id()));
    // Ours alone, or it fails.
    DirBuilder::new().mode(0o700).create(&folder)?;
    let file = folder.join(name);
    let draft = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
    let written = draft.and_then(|mut draft| draft.write_all(text.as_bytes()));
    let output = Command::new(program()).arg("--check").arg("-d").arg(&folder).output();
    let removed = fs::remove_dir_all(&folder);
    written.and(removed)?;
    let Ok(output) = output else { return Ok(Vec::new()) };
    let said = String::from_utf8_lossy(&output.stdout);
    let prefix = format!("{}:", file.display());
    let complaints = said.lines().filter_map(|line| line.strip_prefix(prefix.as_str()));
    let is_digit = |letter: char| letter.is_ascii_digit();
    Ok(complaints
        .map(|line| line.trim_start_matches(is_digit).trim_start_matches([':', ' ']).to_owned())
        .collect())
}

/// The going that was installed along with us, or else the one in the PATH.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|it| Some(it.parent()?.join("going")));
    beside.filter(|it| it.is_file()).unwrap_or_else(|| PathBuf::from("going"))
}

/// Looks at one file, and tells what it leads to.
fn check_file(file: &Path) -> Result<Ending, Trouble> {
    let shown = grammar::visible(&file.to_string_lossy());
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) => {
            complain(&format!("can't read {shown}: {}", sys::explain(&error)));
            return Ok(Ending::Failed);
        }
    };
    let name = file.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    let mut complaints = draft::judge_name(name);
    let name = file.file_name().map(|it| it.to_string_lossy()).unwrap_or_default();
    let spec = draft::read(&name, &text).map_err(|wrong| complaints.extend(wrong));
    if let (Ok(spec), []) = (&spec, complaints.as_slice()) {
        let tries: String = plan::tell(spec).lines().map(|line| format!("  {line}\n")).collect();
        print(&format!("{shown}: good\n{tries}"))?;
        return Ok(Ending::Done);
    }
    print(&locate(&shown, &complaints))?;
    Ok(Ending::Failed)
}

/// Complaints as people and editors like them: `FILE:LINE: message`.
pub fn locate(file: &str, complaints: &[Complaint]) -> String {
    let lines = complaints.iter().map(|Complaint { line, message }| match line {
        0 => format!("{file}: {message}\n"),
        _ => format!("{file}:{line}: {message}\n"),
    });
    lines.collect()
}
