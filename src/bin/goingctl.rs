//! goingctl(8), the operator's hands and eyes.

use std::process::ExitCode;

fn main() -> ExitCode {
    going::ctl::main()
}
