//! going(8), the daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    going::daemon::main()
}
