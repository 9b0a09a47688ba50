//! going-web(8), going's socket for browsers.

use std::process::ExitCode;

fn main() -> ExitCode {
    going::web::main()
}
