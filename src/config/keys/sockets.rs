//! When a service is started, and the sockets that are held for it.

use super::{Effect, Entry, PLAIN};
use crate::config::listen::{LISTEN_AS, STARTS, add_listen, show_listen};
use crate::config::values::{choose, chosen};

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 3] = [
    Entry {
        name: "start",
        effect: Effect::Now,
        values: "auto|manual|on-demand",
        default: "auto",
        help: "Whether it is started as soon as its file is there, when somebody starts it, or by \
               the first connection to one of its sockets.",
        set: |spec, value| choose(&mut spec.policy.start, value, STARTS),
        get: |spec| chosen(&spec.policy.start, STARTS),
        ..PLAIN
    },
    Entry {
        name: "listen",
        repeats: true,
        values: "tcp:[HOST:]PORT|udp:[HOST:]PORT|unix:PATH|unix:@NAME [OPTION=VALUE]...",
        help: "A socket that going opens for it and keeps open while it is restarted, so that \
               nobody who connects is refused.",
        set: |spec, value| add_listen(&mut spec.listen, value),
        get: |spec| spec.listen.iter().map(show_listen).collect::<Vec<_>>().join("\n"),
        clear: |spec| spec.listen.clear(),
        ..PLAIN
    },
    Entry {
        name: "listen-as",
        values: "fds|stdin",
        default: "fds",
        help: "Whether it gets its sockets as descriptors from 3 on, told by LISTEN_FDS, or its \
               only one as its standard input.",
        set: |spec, value| choose(&mut spec.listen_as, value, LISTEN_AS),
        get: |spec| chosen(&spec.listen_as, LISTEN_AS),
        ..PLAIN
    },
];
