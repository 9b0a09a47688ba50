//! Which services run, by their processes and not by what is reported.

use std::collections::BTreeSet;

use super::{Going, Signal, children, is_alive, stat, strings, wait_until};

/// The names of all services which run, told by their processes.
pub fn running(going: &Going) -> BTreeSet<String> {
    let pids = children(going.pid).into_iter();
    let all: Vec<_> = pids
        .filter(|it| is_alive(*it))
        .flat_map(|it| strings(it, "environ"))
        .filter_map(|it| it.strip_prefix("GOING_SERVICE=").map(str::to_owned))
        // It is there when it is needed, and no test is about that.
        .filter(|it| it != "going-log")
        .collect();
    let set: BTreeSet<_> = all.iter().cloned().collect();
    // A service that runs twice is none that we wait for.
    if set.len() == all.len() { set } else { BTreeSet::new() }
}

pub fn wait_running(going: &Going, names: &[&str]) {
    let names: BTreeSet<_> = names.iter().map(|&it| it.to_owned()).collect();
    wait_until(&format!("{names:?} to run"), || running(going) == names);
}

/// Does something while the program looks away, so that it sees the end of it
/// only.
pub fn unseen(going: &Going, change: impl FnOnce()) {
    let is =
        |state: &str| stat(going.pid).is_some_and(|it| it.first().is_some_and(|it| it == state));
    going.signal(Signal::SIGSTOP);
    wait_until("it to halt", || is("T"));
    change();
    going.signal(Signal::SIGCONT);
    wait_until("it to go on", || !is("T"));
}
