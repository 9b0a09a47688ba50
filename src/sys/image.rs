//! What execve(2) is given: pointers, made before fork, for the child may not
//! allocate.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use nix::errno::Errno;

use super::child::Program;

/// The pointers of a program.
pub(super) struct Image<'a> {
    path: &'a CStr,
    argv: Vec<*const c_char>,
    /// For a script without `#!`: the shell, the script, its words.
    script: Vec<*const c_char>,
    envp: Vec<*const c_char>,
}

const SHELL: &CStr = c"/bin/sh";

/// Becomes another program in our own process: its path, words and environment. Comes
/// back only to say why not, with an errno(3).
pub fn replace(program: &Program) -> i32 {
    let image = Image::of(program);
    image.exec(image.path, &image.argv) as i32
}

impl Image<'_> {
    pub(super) fn of(program: &Program) -> Image<'_> {
        let pointers = |words: &[CString]| {
            let words = words.iter().map(|word| word.as_ptr());
            words.chain([ptr::null()]).collect::<Vec<_>>()
        };
        let argv = pointers(&program.argv);
        let words = argv.iter().copied().skip(1);
        let script = [SHELL.as_ptr(), program.path.as_ptr()].into_iter().chain(words).collect();
        Image { path: &program.path, argv, script, envp: pointers(&program.envp) }
    }

    /// Becomes the program; answers only why it did not.
    pub(super) fn execute(&self) -> Errno {
        let errno = self.exec(self.path, &self.argv);
        if errno == Errno::ENOEXEC { self.exec(SHELL, &self.script) } else { errno }
    }

    fn exec(&self, path: &CStr, argv: &[*const c_char]) -> Errno {
        // SAFETY: path and all pointers are C strings of a Program that outlives
        // this image, and both lists end with a null pointer (Image::of).
        unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), self.envp.as_ptr()) };
        Errno::last()
    }
}
