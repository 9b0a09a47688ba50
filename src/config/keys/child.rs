//! What a service is wrapped in: its environment, its view of the system, and
//! what it may do there.

use super::{Entry, PLAIN};
use crate::config::child::{
    HARDENS, add_env_file, add_names, add_tree, read_capabilities, read_private, show_capabilities,
    show_private,
};
use crate::config::values::{choose, chosen, read_path, store};
use crate::config::words::{read_yes, show_yes};

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 10] = [
    Entry {
        name: "env-file",
        repeats: true,
        values: "[-]PATH",
        help: "A file of variables, read at each start; with a - before it, it may be missing.",
        set: |spec, value| add_env_file(&mut spec.env_files, value),
        get: |spec| spec.env_files.join("\n"),
        ..PLAIN
    },
    Entry {
        name: "unset-env",
        repeats: true,
        values: "NAME...",
        help: "Variables it does not get, unless env sets them.",
        set: |spec, value| add_names(&mut spec.unset_env, value),
        get: |spec| spec.unset_env.join(" "),
        ..PLAIN
    },
    Entry {
        name: "clean-env",
        values: "yes|no",
        default: "no",
        help: "Whether it gets none of going's own variables, but a usual PATH.",
        set: |spec, value| store(&mut spec.clean_env, value, read_yes),
        get: |spec| show_yes(spec.clean_env),
        ..PLAIN
    },
    Entry {
        name: "chroot",
        values: "DIRECTORY",
        help: "The directory which is / for it; its command and cwd are looked for in there.",
        set: |spec, value| {
            store(&mut spec.sandbox.chroot, value, |value| read_path(value).map(Some))
        },
        get: |spec| spec.sandbox.chroot.clone().unwrap_or_default(),
        ..PLAIN
    },
    Entry {
        name: "no-new-privs",
        values: "yes|no",
        default: "no",
        help: "Whether nothing it executes gets more rights than it has, set-user-ID or not.",
        set: |spec, value| store(&mut spec.sandbox.no_new_privs, value, read_yes),
        get: |spec| show_yes(spec.sandbox.no_new_privs),
        ..PLAIN
    },
    Entry {
        name: "capabilities",
        values: "NAME...|none",
        help: "The rights of root which it has and can ever get, whoever its user is.",
        set: |spec, value| {
            read_capabilities(value).map(|kept| spec.sandbox.capabilities = Some(kept))
        },
        get: |spec| show_capabilities(spec.sandbox.capabilities),
        ..PLAIN
    },
    Entry {
        name: "private",
        values: "net|ipc|uts|tmp...",
        help: "What it shares with nobody: networks but for a loopback, System V IPC, the host \
               name, temporary files.",
        set: |spec, value| read_private(value).map(|private| spec.sandbox.private = private),
        get: |spec| show_private(&spec.sandbox.private),
        ..PLAIN
    },
    Entry {
        name: "read-only",
        repeats: true,
        values: "[-]PATH",
        help: "A tree of files it cannot change; / leaves out /dev, /proc and /sys.",
        set: |spec, value| add_tree(&mut spec.sandbox.read_only, value),
        get: |spec| spec.sandbox.read_only.join("\n"),
        clear: |spec| spec.sandbox.read_only.clear(),
        ..PLAIN
    },
    Entry {
        name: "writable",
        repeats: true,
        values: "[-]PATH",
        help: "A tree within a read-only one which it can change nevertheless.",
        set: |spec, value| add_tree(&mut spec.sandbox.writable, value),
        get: |spec| spec.sandbox.writable.join("\n"),
        clear: |spec| spec.sandbox.writable.clear(),
        ..PLAIN
    },
    Entry {
        name: "harden",
        values: "no|strict",
        default: "no",
        help: "Whether it is given no more than most services need: no new rights, no \
               capabilities, private temporary files and IPC, and all else read-only.",
        set: |spec, value| choose(&mut spec.sandbox.is_strict, value, HARDENS),
        get: |spec| chosen(&spec.sandbox.is_strict, HARDENS),
        ..PLAIN
    },
];
