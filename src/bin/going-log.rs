//! going-log(8), which writes the logs.

use std::process::ExitCode;

fn main() -> ExitCode {
    going::log::main()
}
