//! The values that say in what a service is wrapped: its environment and its
//! sandbox. Readers and writers as in `values.rs`.

use super::grammar::{blank_separated, show};
use super::nearest::nearest;
use super::template::{self, is_name};
use super::values::{Choices, hint, read_path, wrong};

/// What a service may see and do, but for its user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// The directory that is its `/`.
    pub chroot: Option<String>,
    /// Whether no program it executes gets more rights than itself.
    pub no_new_privs: bool,
    /// The capabilities that are kept, a bit each; `None` for all.
    pub capabilities: Option<u64>,
    /// What it does not share with the system: an element of `PRIVATES` each.
    pub private: [bool; PRIVATES.len()],
    /// Paths, each with a `-` before it if it may be missing.
    pub read_only: Vec<String>,
    /// Exceptions from `read_only`, of the same form.
    pub writable: Vec<String>,
    /// Whether it is given no more than most services need.
    pub is_strict: bool,
}

/// `private=`, in the order in which they are written.
pub const PRIVATES: [&str; 4] = ["net", "ipc", "uts", "tmp"];

/// `harden=`
pub const HARDENS: &Choices<bool> = &[("no", false), ("strict", true)];

/// The kernel's capabilities, each at the place of its number
/// (linux/capability.h), spelled as we spell keys.
pub const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac-override",
    "dac-read-search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux-immutable",
    "net-bind-service",
    "net-broadcast",
    "net-admin",
    "net-raw",
    "ipc-lock",
    "ipc-owner",
    "sys-module",
    "sys-rawio",
    "sys-chroot",
    "sys-ptrace",
    "sys-pacct",
    "sys-admin",
    "sys-boot",
    "sys-nice",
    "sys-resource",
    "sys-time",
    "sys-tty-config",
    "mknod",
    "lease",
    "audit-write",
    "audit-control",
    "setfcap",
    "mac-override",
    "mac-admin",
    "syslog",
    "wake-alarm",
    "block-suspend",
    "audit-read",
    "perfmon",
    "bpf",
    "checkpoint-restore",
];

/// More trees than that nobody tells apart, and the child has room for no more.
pub const TREES_MAX: usize = 32;

/// An absolute path in which variables may stand, even at its beginning.
pub fn read_place(value: &str) -> Result<String, String> {
    template::check(value)?;
    if value.starts_with("${") {
        return Ok(value.into());
    }
    read_path(value).map_err(|must| wrong(value, must))
}

/// One file of variables more.
pub fn add_env_file(files: &mut Vec<String>, value: &str) -> Result<(), String> {
    files.push(read_optional_path(value)?);
    Ok(())
}

/// An absolute path, with a `-` before it if it may be missing.
fn read_optional_path(value: &str) -> Result<String, String> {
    match read_path(value.strip_prefix('-').unwrap_or(value)) {
        Ok(_) => Ok(value.into()),
        Err(must) => Err(wrong(value, &format!("{must}, with a - before it if it may be missing"))),
    }
}

/// The names of one line.
pub fn add_names(names: &mut Vec<String>, value: &str) -> Result<(), String> {
    for name in blank_separated(value) {
        if !is_name(name) {
            return Err(wrong(name, "letters, digits and _, and not begin with a digit"));
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(())
}

/// One tree of files more.
pub fn add_tree(trees: &mut Vec<String>, value: &str) -> Result<(), String> {
    if trees.len() == TREES_MAX {
        return Err(format!("is there more than {TREES_MAX} times"));
    }
    trees.push(read_optional_path(value)?);
    Ok(())
}

/// Reads what is not shared.
pub fn read_private(value: &str) -> Result<[bool; PRIVATES.len()], String> {
    let mut private = [false; PRIVATES.len()];
    for word in blank_separated(value) {
        match PRIVATES.iter().zip(&mut private).find(|(name, _)| **name == word) {
            Some((_, is_private)) => *is_private = true,
            None => return Err(super::values::not_one_of(word, PRIVATES.into_iter())),
        }
    }
    Ok(private)
}

/// Writes what `read_private` reads.
pub fn show_private(private: &[bool; PRIVATES.len()]) -> String {
    let chosen = PRIVATES.iter().zip(private).filter(|(_, is_private)| **is_private);
    chosen.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

/// Reads the capabilities that are kept, or `none`.
pub fn read_capabilities(value: &str) -> Result<u64, String> {
    let mut kept = 0;
    if value == "none" {
        return Ok(kept);
    }
    for word in blank_separated(value) {
        let number = CAPABILITIES.iter().position(|name| *name == word);
        kept |= 1 << number.ok_or_else(|| no_capability(word))?;
    }
    Ok(kept)
}

fn no_capability(word: &str) -> String {
    // As the kernel's own tools write it.
    let plain = word.to_ascii_lowercase().replace('_', "-");
    let plain = plain.strip_prefix("cap-").unwrap_or(&plain);
    let known = CAPABILITIES.into_iter();
    let meant = known.clone().find(|name| *name == plain).or_else(|| nearest(word, known));
    hint(format!("has {}, which is no capability", show(word)), meant)
}

/// Writes what `read_capabilities` reads; nothing for all of them.
pub fn show_capabilities(kept: Option<u64>) -> String {
    let Some(kept) = kept else { return String::new() };
    let mut text = String::new();
    for (name, number) in CAPABILITIES.iter().zip(0_u8..) {
        if kept >> number & 1 == 1 {
            text.push_str(if text.is_empty() { "" } else { " " });
            text.push_str(name);
        }
    }
    if text.is_empty() { "none".into() } else { text }
}

/// The name of a capability.
pub fn capability(number: u8) -> &'static str {
    CAPABILITIES.get(usize::from(number)).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_absolute_or_begin_with_a_variable() {
        for place in ["/", "/a/${B}", "${HOME}", "${A:-/x}/y", "/$${x}"] {
            assert_eq!(read_place(place), Ok(place.into()));
        }
        for place in ["a", "a${B}", "$HOME", "$${A}", "/${", "/${A"] {
            assert!(read_place(place).is_err(), "{place}");
        }
    }

    #[test]
    fn paths_may_be_marked_as_missing() {
        let mut files = Vec::new();
        for path in ["/a b", "-/a"] {
            assert_eq!(add_env_file(&mut files, path), Ok(()));
        }
        assert_eq!(files, ["/a b", "-/a"]);
        for path in ["a", "-", "--/a", "- /a"] {
            assert!(add_env_file(&mut files, path).is_err(), "{path}");
        }
    }

    #[test]
    fn trees_are_counted() {
        let mut trees = vec!["/".to_owned(); TREES_MAX - 1];
        assert_eq!(add_tree(&mut trees, "/a"), Ok(()));
        assert_eq!(add_tree(&mut trees, "/b"), Err("is there more than 32 times".into()));
    }

    #[test]
    fn capabilities_are_known_by_name() {
        assert_eq!(read_capabilities("none"), Ok(0));
        assert_eq!(read_capabilities("kill  chown kill"), Ok(1 << 5 | 1));
        assert_eq!(read_capabilities("checkpoint-restore"), Ok(1 << 40));
        assert_eq!(show_capabilities(Some(1 << 10 | 1 << 21)), "net-bind-service sys-admin");
        assert_eq!((&*show_capabilities(Some(0)), &*show_capabilities(None)), ("none", ""));
        for (word, meant) in [
            ("CAP_NET_BIND_SERVICE", "net-bind-service"),
            ("cap-kill", "kill"),
            ("Chown", "chown"),
            ("net-bind-servis", "net-bind-service"),
        ] {
            let message = read_capabilities(word).unwrap_err();
            assert!(message.ends_with(&format!("did you mean \"{meant}\"?")), "{message}");
        }
        assert!(read_capabilities("none kill").is_err());
    }

    #[test]
    fn what_is_private_is_written_in_one_order() {
        assert_eq!(read_private("tmp  net").map(|it| show_private(&it)), Ok("net tmp".into()));
        assert!(read_private("net pid").unwrap_err().contains("one of net, ipc, uts, tmp"));
    }
}
