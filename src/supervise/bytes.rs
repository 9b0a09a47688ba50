//! Numbers as bytes, and back, with a checksum at the end. A child writes with this
//! between fork and exec, so nothing here may allocate or panic.

use super::facts::Pid;

/// FNV-1a (Fowler, Noll, Vo): tells texts apart that nobody made to be alike.
pub fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

pub(super) fn checksum(bytes: &[u8]) -> [u8; 4] {
    let [a, b, c, d, e, f, g, h] = digest(bytes).to_le_bytes();
    [a ^ e, b ^ f, c ^ g, d ^ h]
}

/// Writes the checksum of all before it into the last four bytes.
pub(super) fn seal<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    if let Some((content, sum)) = bytes.split_last_chunk_mut::<4>() {
        *sum = checksum(content);
    }
    bytes
}

/// What was sealed, if nothing happened to it.
pub(super) fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let (content, sum) = bytes.split_last_chunk::<4>()?;
    (*sum == checksum(content)).then_some(content)
}

/// Puts values one after the other. What does not fit is left out, and then the
/// reader finds the end of the bytes; `every_record_is_read_as_it_was_written`.
pub(super) struct Writer<'a> {
    pub(super) rest: &'a mut [u8],
}

impl Writer<'_> {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let rest = std::mem::take(&mut self.rest);
        let Some((place, rest)) = rest.split_at_mut_checked(bytes.len()) else { return };
        place.copy_from_slice(bytes);
        self.rest = rest;
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    pub(super) fn word(&mut self, word: u32) {
        self.bytes(&word.to_le_bytes());
    }

    pub(super) fn long(&mut self, long: u64) {
        self.bytes(&long.to_le_bytes());
    }

    pub(super) fn pid(&mut self, pid: Pid) {
        self.bytes(&pid.0.to_le_bytes());
    }
}

/// Takes values one after the other; `None` is the end of the bytes, or a value
/// that cannot be.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*bytes)
    }

    pub(super) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.bytes().map(|[byte]| byte)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn word(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// Processes 0 and 1 are never a service's.
    pub(super) fn pid(&mut self) -> Option<Pid> {
        self.bytes().map(i32::from_le_bytes).filter(|&pid| pid > 1).map(Pid)
    }
}
