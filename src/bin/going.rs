//! going(8), the daemon.

use std::process::ExitCode;

use going::sys::memory::Patient;

#[global_allocator]
static MEMORY: Patient = Patient;

fn main() -> ExitCode {
    going::daemon::main()
}
