//! What a service runs, where, and as whom.

use super::{Entry, PLAIN};
use crate::config::child::read_place;
use crate::config::template::join;
use crate::config::values::{
    add_variable, read_account, read_groups, set_command, show_env, show_groups, store,
};
use crate::config::words::{read_umask, show_umask};

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 7] = [
    Entry {
        name: "cmd",
        values: "WORD...",
        help: "The command: a program, found through PATH unless there is a slash in its name, \
               and its arguments, quoted as in a shell.",
        set: |spec, value| set_command(&mut spec.cmd, value),
        get: |spec| join(&spec.cmd),
        ..PLAIN
    },
    Entry {
        name: "cwd",
        values: "DIRECTORY",
        default: "/",
        help: "The directory in which it runs.",
        set: |spec, value| read_place(value).map(|cwd| spec.cwd = cwd),
        get: |spec| spec.cwd.clone(),
        ..PLAIN
    },
    Entry {
        name: "user",
        values: "NAME|NUMBER",
        help: "The user it runs as, if not going's own.",
        set: |spec, value| read_account(value).map(|name| spec.user = Some(name)),
        get: |spec| spec.user.clone().unwrap_or_default(),
        ..PLAIN
    },
    Entry {
        name: "group",
        values: "NAME|NUMBER",
        help: "The group it runs as, if not the user's own.",
        set: |spec, value| read_account(value).map(|name| spec.group = Some(name)),
        get: |spec| spec.group.clone().unwrap_or_default(),
        ..PLAIN
    },
    Entry {
        name: "groups",
        values: "NAME|NUMBER...|none",
        help: "Its supplementary groups, if not the user's own.",
        set: |spec, value| read_groups(value).map(|groups| spec.groups = Some(groups)),
        get: |spec| show_groups(spec.groups.as_deref()),
        ..PLAIN
    },
    Entry {
        name: "umask",
        values: "OCTAL",
        default: "022",
        help: "The permissions which the files it creates do not get.",
        set: |spec, value| store(&mut spec.umask, value, read_umask),
        get: |spec| show_umask(spec.umask),
        ..PLAIN
    },
    Entry {
        name: "env",
        repeats: true,
        values: "NAME=VALUE",
        help: "A variable of its environment; the value is taken as it stands, quotes and all, \
               but for ${OTHER}.",
        set: |spec, value| add_variable(&mut spec.env, value),
        get: |spec| show_env(&spec.env),
        ..PLAIN
    },
];
