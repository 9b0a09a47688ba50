//! `going --check`: every complaint there would be, without starting anything.

use std::fs;
use std::path::Path;

use super::confdir::{Directory, Entry};
use super::options::Options;
use super::start::{Ending, complain, say};
use super::{reload, spawn};
use crate::config::{Spec, parse};
use crate::supervise::{Fault, Step};
use crate::sys;

/// Says on stdout what is wrong with the files, and with what they name.
pub(super) fn check(options: Options) -> Ending {
    let path = options.directory;
    let entries = match Directory::list(&path) {
        Ok(entries) => entries,
        Err(error) => {
            complain(&format!("Can't open {}: {}", path.display(), sys::explain(&error)));
            return Ending::NoDirectory;
        }
    };
    let lines: Vec<_> =
        entries.iter().flat_map(|entry| examine(&path, entry, &options.defaults)).collect();
    let ending = say(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    let services = entries.iter().filter(|entry| entry.refusal.is_none()).count();
    complain(&format!("{services} services, {} complaints", lines.len()));
    if lines.is_empty() { ending } else { Ending::Complaints }
}

fn examine(directory: &Path, entry: &Entry, defaults: &Spec) -> Vec<String> {
    if let Some(refusal) = &entry.refusal {
        return vec![refusal.clone()];
    }
    let file = directory.join(&entry.name);
    let text = match Directory::read(&file) {
        Ok(Some(text)) => text,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![format!("{}: {}", file.display(), sys::explain(&error))],
    };
    let spec = match parse(&text, defaults) {
        Ok(spec) => spec,
        Err(complaints) => return reload::locate(&file, &complaints),
    };
    let Some(fault) = spawn::prepare(&entry.name, &spec).err().or_else(|| missing(&spec)) else {
        return Vec::new();
    };
    let (sentence, key) = spawn::explain(fault, &spec);
    let line = parse::line_of(&text, key);
    reload::locate(&file, &[parse::Complaint { line, message: sentence }])
}

/// A command given by its whole path is found, or not, at exec only.
fn missing(spec: &Spec) -> Option<Fault> {
    let command = spec.cmd.first().filter(|command| command.starts_with('/'))?;
    let errno = fs::metadata(command).err()?.raw_os_error()?;
    Some(Fault { step: Step::Execute, errno })
}
