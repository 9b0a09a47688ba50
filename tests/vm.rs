//! What only a machine of its own allows: a full cgroup v2, the real PID 1, a clock
//! that is set by years. `tests/vm/run` boots one for each script in `tests/vm`.

#![expect(clippy::disallowed_methods, reason = "a test may start programs")]

mod common;

use std::env;
use std::process::Command;

use common::{program, skip};

/// What `tests/vm/run` exits with where there can be no such machine.
const CANNOT: i32 = 77;

#[test]
fn every_script_succeeds_in_a_virtual_machine() {
    let runner = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vm/run");
    let names = env::var("VM").unwrap_or_default();
    let output = Command::new(runner).arg(program()).args(names.split_whitespace()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(CANNOT) {
        skip(why.trim_end());
        return;
    }
    assert!(output.status.success(), "\n{said}{why}");
    println!("{said}");
}
