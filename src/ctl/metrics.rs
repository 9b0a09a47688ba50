//! `goingctl metrics`: figures as text in a file, to be collected by whoever
//! likes, without a port for anybody to listen on.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;

use super::screen::{Ears, Wake};
use super::{Ending, Session, options, print};
use crate::client::Trouble;
use crate::client::metrics::{collect, render};
use crate::sys;

/// Performs it.
pub fn metrics(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let place = session.place()?;
    let Some(file) = options::value::<PathBuf>(matches, "file") else {
        print(&collect(&place)?)?;
        return Ok(Ending::Done);
    };
    let Some(every) = options::value::<Duration>(matches, "every") else {
        write(&file, &collect(&place)?)?;
        return Ok(Ending::Done);
    };
    let ears = Ears::new()?;
    loop {
        let text = match collect(&place) {
            // Whoever watches the figures is to see that there are none.
            Err(Trouble::NoGoing(_) | Trouble::HungUp(_)) => render(None, &[]),
            other => other?,
        };
        write(&file, &text)?;
        if ears.pause(every, false) == Wake::End {
            return Ok(Ending::Done);
        }
    }
}

/// Writes the file, complete at every moment: a collector may come at any.
fn write(file: &Path, text: &str) -> Result<(), Trouble> {
    let shown = file.display();
    let failed = |error: io::Error| {
        Trouble::Failed(format!("can't write {shown}: {}", sys::explain(&error)))
    };
    // Through links to where they lead. What is no file is not replaced by one:
    // root's own /dev/null would be gone.
    let file = &fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if fs::metadata(file).is_ok_and(|there| !there.is_file()) {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Trouble::Usage("--file needs the name of a file".to_owned()))?;
    // Collectors take what ends in .prom, which this does not.
    let draft = file.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&draft)
        .and_then(|mut it| it.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&draft, file));
    written.map_err(|error| {
        let _ = fs::remove_file(&draft);
        failed(error)
    })
}
