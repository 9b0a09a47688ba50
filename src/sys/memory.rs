//! Memory for those who would die without it. The kernel may have none for a moment,
//! as it may have no descriptors; but what asks for memory in Rust cannot be told to
//! come back later, and so the allocator itself does that.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, with a little patience.
pub struct Patient;

/// Where there is no memory for so long, there will be none. To die then is better
/// than to stand still: init starts another going, which adopts all services.
const TRIES: u32 = 20;

/// In milliseconds.
const PAUSE: i32 = 50;

/// Whoever wants more than this at once is told at once, and can come back later: the
/// text of a file can wait, and all else must not wait for it.
const SMALL: usize = 16 * 1024;

// SAFETY: every block comes from System, and goes back to it unchanged.
unsafe impl GlobalAlloc for Patient {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the rules for this layout.
        insist(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        insist(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; a block that could not be moved is as it was.
        insist(size, || unsafe { System.realloc(block, layout, size) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: it came from System, with this layout.
        unsafe { System.dealloc(block, layout) };
    }
}

fn insist(size: usize, ask: impl Fn() -> *mut u8) -> *mut u8 {
    for _ in 0..TRIES {
        let block = ask();
        if !block.is_null() || size > SMALL {
            return block;
        }
        // SAFETY: waits for no descriptor, and so passes no memory.
        unsafe { libc::poll(std::ptr::null_mut(), 0, PAUSE) };
    }
    ask()
}
