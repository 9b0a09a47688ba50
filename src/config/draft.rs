//! Text that may become a service file, read as going would read it. Nothing that
//! it names is looked at.

use super::names::{self, Name};
use super::{Complaint, Spec, instances};

/// What a file of this name says; of a template, what its first instance would be.
///
/// # Errors
/// What is wrong with it.
pub fn read(name: &str, text: &[u8]) -> Result<Spec, Vec<Complaint>> {
    let defaults = Spec::default();
    if !instances::is_template(name) {
        return instances::make(name, text).read(&defaults);
    }
    instances::count(name, text, &defaults)?;
    let made = instances::make(&format!("{name}1"), text).read(&defaults);
    // Where that makes no sense as an argument, others may.
    Ok(made.unwrap_or(defaults))
}

/// What is wrong with the name of a file, were it a service's.
pub fn judge_name(name: &[u8]) -> Vec<Complaint> {
    let message = match names::judge(name) {
        // People check drafts as well, whatever their names are.
        Name::Service | Name::Template | Name::Skip => return Vec::new(),
        Name::TooLong => format!("its name is too long for a service (max: {})", names::NAME_MAX),
        Name::Refused(why) => why,
    };
    vec![Complaint { line: 0, message }]
}

/// All that is wrong with a file of this name.
pub fn complaints(name: &str, text: &[u8]) -> Vec<Complaint> {
    let mut all = judge_name(name.as_bytes());
    all.extend(read(name, text).err().unwrap_or_default());
    all
}
