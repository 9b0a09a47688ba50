//! The stack of a program that needs little of it. The kernel maps 132 kB of it at
//! exec (setup_arg_pages() in fs/exec.c), and keeps what a start has written to for
//! as long as the process lives.

use std::hint::black_box;
use std::ptr;

/// In bytes, what the kernel maps below the arguments and the environment.
const MAPPED: usize = 128 * 1024;

/// In bytes. Where pages are larger the kernel refuses, and nothing is lost.
const PAGE: usize = 4096;

/// Gives back what of the stack is not in use now, with the room for it. It grows
/// again as needed.
pub fn shrink() {
    // SAFETY: all that is in use is above, what a call needs is left below, and the
    // kernel lets nothing else be mapped that close (mmap(2), GROWSDOWN).
    unsafe { libc::munmap(unused(), MAPPED - PAGE) };
}

/// Gives back only the memory: where there may be no room to grow again.
pub fn clean() {
    // SAFETY: as above; what is written there next finds zeroes (madvise(2)).
    unsafe { libc::madvise(unused(), MAPPED - PAGE, libc::MADV_DONTNEED) };
}

/// Where the part begins that ends a page below what is in use.
#[inline(never)]
fn unused() -> *mut libc::c_void {
    let here = black_box(0_u8);
    let page = ptr::from_ref(&here).addr() & !(PAGE - 1);
    ptr::with_exposed_provenance_mut(page - MAPPED)
}
