//! going-log(8), which writes the logs.

use std::process::ExitCode;

use going::sys::fault;

fn main() -> ExitCode {
    fault::tell("going-log");
    going::log::main()
}
