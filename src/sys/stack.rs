//! The stack of a program that needs little of it. The kernel maps 132 kB of it at
//! exec (setup_arg_pages() in fs/exec.c), and keeps what a start has written to for
//! as long as the process lives.

use std::hint::black_box;
use std::ptr;

/// In bytes, what the kernel maps below the arguments and the environment.
const MAPPED: usize = 128 * 1024;

/// In bytes. Where pages are larger the kernel refuses, and nothing is lost.
const PAGE: usize = 4096;

/// Gives back what of the stack is not in use now. It grows again as needed.
pub fn shrink() {
    let here = black_box(0_u8);
    let page = ptr::from_ref(&here).addr() & !(PAGE - 1);
    let start = ptr::with_exposed_provenance_mut(page - MAPPED);
    // SAFETY: all that is in use is above `here`, what a call needs is left below
    // it, and the kernel lets nothing else be mapped that close (mmap(2), GROWSDOWN).
    unsafe { libc::munmap(start, MAPPED - PAGE) };
}
