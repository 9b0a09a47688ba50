//! going(8), the daemon.

use std::process::ExitCode;

use going::sys::fault;
use going::sys::memory::Patient;

#[global_allocator]
static MEMORY: Patient = Patient;

fn main() -> ExitCode {
    fault::tell("going");
    going::daemon::main()
}
