//! What a test needs of the machine. What cannot be had is said loudly, and is an
//! error where everything has to be proved.

use std::io::Write;
use std::path::Path;
use std::{env, fs, io};

use super::{Place, program, run};

/// Says, past the capture of the test runner, that a test proves nothing here.
pub fn skip(why: &str) -> bool {
    let _ = writeln!(io::stderr(), "skipped: {why}");
    assert!(env::var_os("CI").is_none(), "nothing may be skipped in CI: {why}");
    false
}

pub fn has_root() -> bool {
    nix::unistd::geteuid().is_root() || skip("needs root")
}

pub fn has(tool: &str) -> bool {
    let dirs = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    dirs.split(':').any(|it| Path::new(it).join(tool).exists()) || skip(&format!("needs {tool}"))
}

/// Whether a budget can be measured: only the release build has one.
pub fn has_static_build() -> bool {
    // A dynamic program names its loader in the clear.
    let is_dynamic = |it: &[u8]| it.windows(9).any(|it| it == b"/ld-linux" || it == b"/ld-musl-");
    let is_static = env::var("GOING_BIN").is_ok_and(|it| !is_dynamic(&fs::read(it).unwrap()));
    is_static || skip("needs GOING_BIN to be the static release build")
}

impl Place {
    /// A copy of the program which every user may run.
    pub fn copied_program(&self) -> String {
        let path = self.path("going");
        // Copied by another process: none of ours may hold it open for writing
        // when it is executed (ETXTBSY).
        assert!(run(&["install", "-m", "755", &program(), &path]).status.success());
        path
    }
}
