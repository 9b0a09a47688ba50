//! `going --check`: every complaint there would be, without starting anything.

use std::path::Path;

use super::confdir::{Directory, Entry};
use super::options::Options;
use super::start::{Ending, complain, say};
use super::{instances, order, reload, spawn};
use crate::config::{Spec, instances as templates, parse};
use crate::sys;

/// Says on stdout what is wrong with the files, and with what they name.
#[inline(never)]
pub(super) fn check(options: Options) -> Ending {
    let path = options.directory;
    let entries = match Directory::list(&path) {
        Ok(entries) => instances::complete(&path, entries, &options.defaults),
        Err(error) => {
            complain(&format!("Can't open {}: {}", path.display(), sys::explain(&error)));
            return Ending::NoDirectory;
        }
    };
    let mut lines: Vec<_> =
        entries.iter().flat_map(|entry| examine(&path, entry, &options.defaults)).collect();
    lines.extend(examine_order(&path, &entries, &options.defaults));
    let ending = say(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    let services = entries.iter().filter(|entry| entry.refusal.is_none()).count();
    complain(&format!("{services} services, {} complaints", lines.len()));
    if lines.is_empty() { ending } else { Ending::Complaints }
}

fn examine(directory: &Path, entry: &Entry, defaults: &Spec) -> Vec<String> {
    if let Some(refusal) = &entry.refusal {
        return vec![refusal.clone()];
    }
    let file = directory.join(&entry.file);
    let text = match Directory::read(&file) {
        Ok(Some(text)) => text,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![format!("{}: {}", file.display(), sys::explain(&error))],
    };
    let spec = match templates::make(&entry.name, &text).read(defaults) {
        Ok(spec) => spec,
        Err(complaints) => return reload::locate(&file, &complaints),
    };
    let faults = match spawn::prepare(&entry.name, &spec) {
        Ok(_) => spawn::foresee::faults(&entry.name, &spec),
        Err(fault) => vec![fault],
    };
    let complaint = |fault| {
        let (message, key) = spawn::explain(fault, &spec);
        parse::Complaint { line: parse::line_of(&text, key), message }
    };
    let complaints: Vec<_> = faults.into_iter().map(complaint).collect();
    reload::locate(&file, &complaints)
}

/// What is wrong with the places of all services among each other.
fn examine_order(directory: &Path, entries: &[Entry], defaults: &Spec) -> Vec<String> {
    let usable = entries.iter().filter(|entry| entry.refusal.is_none());
    let mut all: Vec<_> = usable
        .filter_map(|entry| {
            let text = Directory::read(&directory.join(&entry.file)).ok()??;
            let made = templates::make(&entry.name, &text).text.into_owned();
            // What cannot be used is there nevertheless, and has been complained about.
            let spec = templates::make(&entry.name, &text).read(defaults).unwrap_or_default();
            Some((&*entry.name, spec.policy.order, made))
        })
        .collect();
    all.sort_by(|one, other| one.0.cmp(other.0));
    order::complaints(directory, all.iter().map(|(name, order, text)| (*name, order, &**text)))
}
