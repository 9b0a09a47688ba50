//! Services that tell what they found, and what /proc says of them.

use std::fs;

use crate::common::{Going, Place, has, has_root, wait_until};

/// A user and group that nobody has.
pub const USER: &str = "user=54395\ngroup=54395\n";

/// The lines of a service that runs a shell script and then sleeps; what it says
/// goes to the file `NAME.out`. The script must not have single quotes.
pub fn telling(place: &Place, name: &str, script: &str, keys: &str) -> String {
    assert!(!script.contains('\''));
    let out = place.path(&format!("{name}.out"));
    format!(
        "cmd=/bin/sh -c '{script}\necho done; exec sleep 1000'\nstdout=file:{out}\n\
         stderr=stdout\n{keys}"
    )
    .replace("\necho done", "; echo done")
}

/// What such a service said, when it is through.
pub fn told(place: &Place, name: &str) -> String {
    let file = format!("{name}.out");
    wait_until(&format!("{name} to be through"), || place.read(&file).ends_with("done\n"));
    place.read(&file).trim_end_matches("done\n").to_owned()
}

/// Starts it as root who lacks some capabilities, such as `-net_raw`.
pub fn start_without(place: &Place, capabilities: &str) -> Option<Going> {
    if !has_root() || !has("setpriv") {
        return None;
    }
    let script = format!("exec setpriv --bounding-set={capabilities} \"$@\"");
    Some(place.start_under(&["/bin/sh", "-c", &script, "sh"], &[]))
}

/// The namespace of a process.
pub fn namespace(pid: i32, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string()
}

/// The options with which a path is mounted for a process, the topmost last.
pub fn mounts(pid: i32, path: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.filter(|fields| fields[4] == path).map(|fields| fields[5].to_owned()).collect()
}
