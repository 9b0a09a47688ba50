//! going-alert(8), which tells somebody.

use std::process::ExitCode;

use going::sys::fault;

fn main() -> ExitCode {
    fault::tell("going-alert");
    going::alert::main()
}
