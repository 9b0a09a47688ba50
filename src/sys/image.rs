//! What execve(2) is given: pointers, made before fork, for the child may not
//! allocate.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use nix::errno::Errno;
use nix::unistd::getpid;

use super::child::Program;

/// The pointers of a program.
pub(super) struct Image<'a> {
    path: &'a CStr,
    argv: Vec<*const c_char>,
    /// For a script without `#!`: the shell, the script, its words.
    script: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    /// What the child writes for [`Program::PIDS`], and where.
    pid_lines: [(Option<usize>, [u8; 24]); 2],
}

impl Program {
    /// A line of the environment behind which the child writes its pid.
    pub const LISTEN_PID: &CStr = c"LISTEN_PID=";
    /// Another one.
    pub const WATCHDOG_PID: &CStr = c"WATCHDOG_PID=";
    const PIDS: [&CStr; 2] = [Program::LISTEN_PID, Program::WATCHDOG_PID];
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
        let place = |pid: &CStr| program.envp.iter().position(|line| **line == *pid);
        let pid_lines = Program::PIDS.map(|pid| (place(pid), [0; 24]));
        let (path, envp) = (&*program.path, pointers(&program.envp));
        Image { path, argv, script, envp, pid_lines }
    }

    /// Becomes the program; answers only why it did not.
    pub(super) fn execute(&mut self) -> Errno {
        self.tell_pid();
        let errno = self.exec(self.path, &self.argv);
        if errno == Errno::ENOEXEC { self.exec(SHELL, &self.script) } else { errno }
    }

    /// Tells the program which process it is, and so whom its sockets and its watchdog
    /// are for: known after fork only.
    fn tell_pid(&mut self) {
        let mut digits = [0_u8; 10];
        let mut rest = getpid().as_raw().unsigned_abs();
        let mut start = digits.len();
        for digit in digits.iter_mut().rev() {
            if rest > 0 {
                *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
                rest /= 10;
                start = start.saturating_sub(1);
            }
        }
        for ((at, own), name) in self.pid_lines.iter_mut().zip(Program::PIDS) {
            let Some(line) = at.and_then(|at| self.envp.get_mut(at)) else { continue };
            // What is left of it are zeroes, which end a C string.
            let text = name.to_bytes().iter().chain(digits.iter().skip(start));
            own.iter_mut().zip(text).for_each(|(place, byte)| *place = *byte);
            *line = own.as_ptr().cast();
        }
    }

    fn exec(&self, path: &CStr, argv: &[*const c_char]) -> Errno {
        // SAFETY: path and all pointers are C strings of a Program that outlives
        // this image, and both lists end with a null pointer (Image::of).
        unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), self.envp.as_ptr()) };
        Errno::last()
    }
}
