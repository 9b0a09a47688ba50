//! Memory that survives us: a file of the journal, mapped and shared, so that
//! what was stored is in the page cache and not lost with the process, whatever
//! instruction a SIGKILL finds it at. What it means is told in `log/journal.rs`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

/// A mapping, all of which can be read and written.
#[derive(Debug)]
pub struct Map {
    start: NonNull<u8>,
    length: usize,
}

impl Map {
    /// Maps `length` bytes of `file` from `offset` on, a multiple of the size of a
    /// page. They must be there for as long as this lives. Without a file it is
    /// memory of our own.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub fn new(file: Option<&File>, offset: usize, length: usize) -> io::Result<Map> {
        let offset = i64::try_from(offset).map_err(io::Error::other)?;
        let (fd, kind) = match file {
            Some(file) => (file.as_raw_fd(), libc::MAP_SHARED),
            None => (-1, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS),
        };
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses a place where nothing is; no memory that
        // anybody uses is changed.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, rights, kind, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let Some(start) = NonNull::new(start.cast::<u8>()) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        Ok(Map { start, length })
    }

    /// Asks the kernel to keep it in memory (mlock(2)). Without it a read into
    /// it may have to wait for a page, which is not wrong but slow.
    pub fn keep_in_memory(&self) {
        // SAFETY: the range is that of our mapping; mlock changes no memory.
        unsafe { libc::mlock(self.start.as_ptr().cast(), self.length) };
    }

    /// A word of eight bytes; 0 outside of the mapping.
    pub fn word(&self, index: usize) -> u64 {
        self.atomic(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Stores a word: at once and not in parts, after all that was stored before
    /// and before all that is stored after it.
    pub fn set_word(&mut self, index: usize, value: u64) {
        // A process dies between two of its instructions, so what the processor
        // does behind its back does not matter; only the compiler must not
        // exchange the stores.
        compiler_fence(Ordering::SeqCst);
        if let Some(word) = self.atomic(index) {
            word.store(value, Ordering::Relaxed);
        }
        compiler_fence(Ordering::SeqCst);
    }

    fn atomic(&self, index: usize) -> Option<&AtomicU64> {
        let offset = index.checked_mul(8).filter(|offset| *offset < self.length / 8 * 8)?;
        // SAFETY: offset is inside of the mapping.
        let place = unsafe { self.start.as_ptr().add(offset) };
        // SAFETY: a mapping begins at a page, so the word is aligned; it is in
        // the mapping as a whole; and it lives as long as we do.
        Some(unsafe { AtomicU64::from_ptr(place.cast()) })
    }

    /// `length` bytes from `offset` on; none if they are not all inside.
    pub fn bytes(&self, offset: usize, length: usize) -> &[u8] {
        if !self.has(offset, length) {
            return &[];
        }
        // SAFETY: offset is inside of the mapping.
        let place = unsafe { self.start.as_ptr().add(offset) };
        // SAFETY: all of it is inside, initialized as memory from the kernel is,
        // and changed by nobody while we are borrowed: the file is locked.
        unsafe { slice::from_raw_parts(place, length) }
    }

    /// The same, to be changed.
    pub fn bytes_mut(&mut self, offset: usize, length: usize) -> &mut [u8] {
        if !self.has(offset, length) {
            return &mut [];
        }
        // SAFETY: offset is inside of the mapping.
        let place = unsafe { self.start.as_ptr().add(offset) };
        // SAFETY: as above, and we are borrowed for this alone.
        unsafe { slice::from_raw_parts_mut(place, length) }
    }

    fn has(&self, offset: usize, length: usize) -> bool {
        offset.checked_add(length).is_some_and(|end| end <= self.length)
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and all borrows of it have ended.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_bytes_are_the_same_memory() {
        let mut map = Map::new(None, 0, 4096).unwrap();
        map.set_word(3, 0x0102_0304_0506_0708);
        assert_eq!(map.word(3), 0x0102_0304_0506_0708);
        assert_eq!(map.bytes(24, 8), 0x0102_0304_0506_0708_u64.to_ne_bytes());
        map.bytes_mut(24, 1).fill(0);
        assert_ne!(map.word(3), 0x0102_0304_0506_0708);
    }

    #[test]
    fn nothing_is_outside() {
        let mut map = Map::new(None, 0, 4096).unwrap();
        map.set_word(512, 1);
        map.set_word(usize::MAX, 1);
        assert_eq!((map.word(512), map.word(usize::MAX / 4)), (0, 0));
        assert_eq!((map.bytes(4090, 7), map.bytes(usize::MAX, 2)), (&[][..], &[][..]));
        assert!(map.bytes_mut(4096, 1).is_empty());
        assert_eq!(map.bytes(4090, 6).len(), 6);
    }
}
