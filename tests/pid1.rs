//! `going -- COMMAND`, as the init of a container and in a terminal: what tini and
//! dumb-init promise holds here, too, and what going adds to it.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs"
)]

mod common;
#[path = "pid1/container.rs"]
mod container;
#[path = "pid1/ending.rs"]
mod ending;
#[path = "pid1/promises.rs"]
mod promises;
#[path = "pid1/terminal.rs"]
mod terminal;

use common::{Going, Place, program};

/// Starts `going -- sh -c SCRIPT` with these options before it. The script sees our
/// directory in `$D`.
fn main_command(place: &Place, options: &[&str], script: &str) -> Going {
    let (confdir, run, log) = (place.path("going.d"), place.path("run"), place.path("log"));
    let script = format!("D={}; {script}", place.dir.display());
    let program = program();
    let own = [&*program, "-v", "-d", &confdir, "-r", &run, "-l", &log, "--report", "stderr"];
    let words = [&own[..], options, &["--", "sh", "-c", &script]].concat();
    place.start_plainly(&words)
}
