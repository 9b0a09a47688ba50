//! What a child says between fork and exec, through a pipe that ends when it becomes
//! its program: words of one size, so that each is there as a whole or not at all.
//! Its hearer must never wait for one.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::unistd;

use crate::supervise::{Fault, Step};

/// What a child said.
pub enum Word {
    /// It does without something, though it was to have it if possible.
    Lack(Fault),
    /// It could not become its program.
    Fault(Fault),
    /// It became its program.
    Executed,
}

/// The next word of a child: `None` while it is silent, and nothing after the
/// last one.
pub fn hear(ear: BorrowedFd) -> Option<Word> {
    let mut words = [0; WORD];
    match unistd::read(ear, &mut words) {
        // The poll tells of words but once.
        Err(Errno::EINTR) => hear(ear),
        Err(Errno::EAGAIN) => None,
        Ok(WORD) => {
            let [is_lack, place, which, errno @ ..] = words;
            let fault = Fault { step: Step::of([place, which]), errno: i32::from_ne_bytes(errno) };
            Some(if is_lack == 0 { Word::Fault(fault) } else { Word::Lack(fault) })
        }
        // So few bytes are written at once or not at all (pipe(7)).
        Ok(_) | Err(_) => Some(Word::Executed),
    }
}

/// In bytes.
const WORD: usize = 7;

/// Says one, between fork and exec: nothing but a system call.
pub(super) fn tell(mouth: BorrowedFd, Fault { step, errno }: Fault, is_lack: bool) {
    let ([place, which], [a, b, c, d]) = (step.told(), errno.to_ne_bytes());
    // If going is gone there is nobody to tell.
    let _ = unistd::write(mouth, &[u8::from(is_lack), place, which, a, b, c, d]);
}
