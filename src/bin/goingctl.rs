//! goingctl(8), the operator's hands and eyes.

use std::process::ExitCode;

use going::sys::fault;

fn main() -> ExitCode {
    fault::tell("goingctl");
    going::ctl::main()
}
