//! going-web(8), going's socket for browsers.

use std::process::ExitCode;

use going::sys::fault;

fn main() -> ExitCode {
    fault::tell("going-web");
    going::web::main()
}
