//! `goingctl new`: a service file from the words of a command line. It is judged
//! before it is written, appears at once and complete, and never takes the place
//! of another one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use super::{Ending, Session, check, directory, options, print};
use crate::client::Trouble;
use crate::config::draft;
use crate::config::grammar::{join, show};
use crate::config::names::{self, Name};
use crate::protocol::{Command, Request};
use crate::sys;

/// Performs it.
pub fn create(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let name = options::value::<String>(matches, "name").unwrap_or_default();
    let pairs = options::texts(matches, "pair");
    let text = compose(&name, &pairs, &options::texts(matches, "words")).map_err(Trouble::Usage)?;
    // What only a look around can tell: users, groups and programs. Where even
    // that cannot be done, going itself will say it.
    let complaints = check::examine(&name, &text).unwrap_or_default();
    if !complaints.is_empty() {
        return Err(Trouble::Usage(complaints.join("\n")));
    }
    let directory = match options::value::<PathBuf>(matches, "dir") {
        Some(directory) => directory,
        None => directory::find(session)?,
    };
    let file = directory.join(&name);
    write_new(&directory, &name, &text).map_err(|error| {
        let is_there = error.kind() == io::ErrorKind::AlreadyExists;
        let why = if is_there { "there is one already".to_owned() } else { sys::explain(&error) };
        Trouble::Failed(format!("can't write {}: {why}", file.display()))
    })?;
    print(&format!("wrote {}\n", file.display()))?;
    // It would see the file by itself, a moment later; whoever wrote it may want
    // to go on with it now. Where none runs, there is nobody to tell.
    let _ = session.ask(&Request::new(Command::Reload));
    Ok(Ending::Done)
}

/// The text of a service file, if nothing is wrong with it.
fn compose(name: &str, pairs: &[String], words: &[String]) -> Result<String, String> {
    match names::judge(name.as_bytes()) {
        Name::Service | Name::Template => {}
        Name::Skip => return Err(format!("going skips files with names like {}", show(name))),
        Name::TooLong => {
            return Err(format!("a service name has at most {} bytes", names::NAME_MAX));
        }
        Name::Refused(why) => return Err(why),
    }
    let mut text = format!("cmd={}\n", join(words));
    for pair in pairs {
        if pair.contains('\n') {
            return Err(format!("{} has a line end in it", show(pair)));
        }
        text.push_str(pair);
        text.push('\n');
    }
    match draft::read(name, text.as_bytes()) {
        Ok(_) => Ok(text),
        Err(complaints) => {
            let messages = complaints.into_iter().map(|complaint| complaint.message);
            Err(messages.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// Writes a file that must not exist yet, so that it is never seen half done,
/// and not lost when the machine goes down right after.
fn write_new(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    // Hidden from going by its dot, and from others like us by our pid.
    let draft = directory.join(format!(".{name}.{}", std::process::id()));
    let result = write_draft(&draft, text)
        // Unlike rename(2), link(2) does not replace what is there.
        .and_then(|()| fs::hard_link(&draft, directory.join(name)));
    let removed = fs::remove_file(&draft);
    result.and(removed)?;
    OpenOptions::new().read(true).open(directory)?.sync_all()
}

fn write_draft(draft: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn words_are_quoted_so_that_going_reads_the_same() {
        let text = compose("web", &words(&["user=www"]), &words(&["sh", "-c", "echo it's"]));
        assert_eq!(text, Ok("cmd=sh -c 'echo it'\\''s'\nuser=www\n".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_told_before_anything_is_written() {
        let wrong = |name: &str, pairs: &[&str]| {
            compose(name, &words(pairs), &words(&["sleep", "1"])).unwrap_err()
        };
        assert_eq!(wrong("web", &["usr=www"]), "unknown key \"usr\"; did you mean \"user\"?");
        assert!(wrong("web", &["cmd=x"]).starts_with("cmd= again"));
        assert!(wrong("web", &["www"]).starts_with("no \"=\" in \"www\""));
        assert_eq!(wrong("web", &["user=a\ncmd=b"]), "\"user=a\\ncmd=b\" has a line end in it");
        assert!(wrong("a/b", &[]).contains("cannot have \"/\""));
        assert!(wrong(".web", &[]).starts_with("going skips"));
        assert!(wrong(&"x".repeat(65), &[]).contains("at most 64 bytes"));
    }
}
