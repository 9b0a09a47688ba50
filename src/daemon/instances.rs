//! The instances for which a template asks by number, as if each had a file. A
//! template that cannot be used asks for nothing, and loses nothing.

use std::path::{Path, PathBuf};

use super::confdir::{Directory, Entry};
use super::{Daemon, reload};
use crate::config::names::NAME_MAX;
use crate::config::{Spec, instances};
use crate::sys;

/// Puts the instances in the place of their template. One that has a file of its
/// own is what that says; a template which is wrong stays, to be complained about.
pub fn complete(path: &Path, entries: Vec<Entry>, defaults: &Spec) -> Vec<Entry> {
    let is_template = |it: &Entry| it.refusal.is_none() && instances::is_template(&it.name);
    let (templates, mut entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_template);
    let listed = entries.len();
    for template in templates {
        match count(path, &template.name, defaults) {
            Ok(None) => {}
            Ok(Some(count)) => {
                for number in 1..=count {
                    let name = format!("{}{number}", template.name);
                    let listed = entries.get(..listed).unwrap_or_default();
                    if listed.binary_search_by(|it| it.name.cmp(&name)).is_err() {
                        let file = template.name.clone();
                        entries.push(Entry { refusal: too_long(&name), name, file });
                    }
                }
            }
            Err(refusal) => entries.push(Entry { refusal: Some(refusal), ..template }),
        }
    }
    entries.sort_by(|one, other| instances::order(&one.name, &other.name));
    entries
}

fn too_long(name: &str) -> Option<String> {
    (name.len() > NAME_MAX).then(|| format!("{name} would be a name longer than {NAME_MAX} bytes"))
}

/// How many instances a template asks for, if it is a file.
fn count(path: &Path, name: &str, defaults: &Spec) -> Result<Option<u32>, String> {
    let file = path.join(name);
    let text = Directory::read(&file)
        .map_err(|error| format!("Can't read {}: {}", file.display(), sys::explain(&error)))?;
    let Some(text) = text else { return Ok(None) };
    let count = instances::count(name, &text, defaults);
    count.map(Some).map_err(|complaints| reload::locate(&file, &complaints).join("\n"))
}

impl Daemon {
    /// Where the file of a service is; that of its template if it has none.
    pub(super) fn file_of(&self, name: &str) -> PathBuf {
        let file = self.directory.path.join(name);
        let template = instances::parts(name).filter(|_| file.symlink_metadata().is_err());
        template.map_or(file, |(template, _)| self.directory.path.join(template))
    }
}
