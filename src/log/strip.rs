//! Takes the escape sequences out of a line, those of ECMA-48 which move cursors
//! and set colors. What is not complete waits for its rest; the end of the line
//! ends it, so that a stray byte never hides more than a line.

use memchr::memchr;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// Where in a sequence we are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Escape {
    /// In none.
    #[default]
    None = 0,
    /// After ESC.
    Begun = 1,
    /// After ESC and blank to slash.
    Intermediate = 2,
    /// In a control sequence, ESC `[`.
    Control = 3,
    /// In a string such as a window title, which BEL or ESC `\` ends.
    Text = 4,
    /// After ESC in such a string.
    TextEnding = 5,
}

impl Escape {
    /// The state of this number; a number from a stranger is none.
    pub fn of(number: u64) -> Escape {
        match number {
            1 => Escape::Begun,
            2 => Escape::Intermediate,
            3 => Escape::Control,
            4 => Escape::Text,
            5 => Escape::TextEnding,
            _ => Escape::None,
        }
    }

    /// Where we are after a byte that is part of a sequence; `Err` if the byte
    /// is none of it, but text again.
    fn after(self, byte: u8) -> Result<Escape, Escape> {
        // CAN and SUB break a sequence off.
        if matches!(byte, 0x18 | 0x1a) {
            return Ok(Escape::None);
        }
        match (self, byte) {
            (Escape::None, _) => Err(Escape::None),
            (Escape::Begun | Escape::Intermediate | Escape::Control, ESC) => Ok(Escape::Begun),
            (Escape::Begun, b'[') => Ok(Escape::Control),
            (Escape::Begun, b']' | b'P' | b'X' | b'^' | b'_') => Ok(Escape::Text),
            (Escape::Begun | Escape::Intermediate, 0x20..=0x2f) => Ok(Escape::Intermediate),
            (Escape::Begun | Escape::Intermediate, 0x30..=0x7e) => Ok(Escape::None),
            (Escape::Control, 0x20..=0x3f) => Ok(Escape::Control),
            (Escape::Control, 0x40..=0x7e) => Ok(Escape::None),
            // No sequence has such a byte in it, so this was none.
            (Escape::Begun | Escape::Intermediate | Escape::Control, _) => Err(Escape::None),
            (Escape::Text, BEL) => Ok(Escape::None),
            (Escape::Text | Escape::TextEnding, ESC) => Ok(Escape::TextEnding),
            (Escape::Text, _) => Ok(Escape::Text),
            (Escape::TextEnding, b'\\') => Ok(Escape::None),
            (Escape::TextEnding, _) => Escape::Begun.after(byte),
        }
    }
}

/// Hands on what of `text`, which has no newline, is in no sequence.
pub fn strip(mut text: &[u8], escape: &mut Escape, mut emit: impl FnMut(&[u8])) {
    while let Some((&first, after)) = text.split_first() {
        if *escape == Escape::None {
            let plain = memchr(ESC, text).unwrap_or(text.len());
            let (plain, rest) = text.split_at_checked(plain).unwrap_or((text, &[]));
            if !plain.is_empty() {
                emit(plain);
            }
            text = rest.get(1..).unwrap_or_default();
            if !rest.is_empty() {
                *escape = Escape::Begun;
            }
            continue;
        }
        match escape.after(first) {
            Ok(next) => {
                *escape = next;
                text = after;
            }
            Err(next) => *escape = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stripped(pieces: &[&[u8]]) -> String {
        let (mut escape, mut out) = (Escape::None, Vec::new());
        for piece in pieces {
            strip(piece, &mut escape, |text| out.extend_from_slice(text));
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn sequences_are_taken_out() {
        for (text, left) in [
            ("plain", "plain"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[38;2;1;2;3mred\x1b[K", "red"),
            ("\x1b[?25lhidden\x1b[?25h", "hidden"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bP1$r0m\x1b\\text", "text"),
            ("\x1b(Btext\x1b=\x1b>", "text"),
            ("\x1b7a\x1b8b", "ab"),
            ("\x1b\x1b[1mx", "x"),
            ("\x1b[1\x18x", "x"),
            ("a\x1b[1ü", "aü"),
            ("grün\x1b[0m\ttab\r", "grün\ttab\r"),
        ] {
            assert_eq!(stripped(&[text.as_bytes()]), left, "{text:?}");
        }
    }

    #[test]
    fn states_have_their_numbers() {
        for number in 0..=5 {
            assert_eq!(Escape::of(number) as u64, number);
        }
        assert_eq!(Escape::of(6), Escape::None);
    }

    proptest! {
        #[test]
        fn pieces_are_stripped_as_the_whole(
            text in "[\\x1b\\[\\]0-9;m\\\\a\\x07\\x18P(ü ]{0,40}",
            cut in 0..60_usize,
        ) {
            let bytes = text.as_bytes();
            let (one, other) = bytes.split_at(cut.min(bytes.len()));
            let (mut escape, mut out) = (Escape::None, Vec::new());
            strip(one, &mut escape, |text| out.extend_from_slice(text));
            strip(other, &mut escape, |text| out.extend_from_slice(text));
            let mut whole = Vec::new();
            strip(bytes, &mut Escape::None, |text| whole.extend_from_slice(text));
            prop_assert_eq!(&out, &whole);
            prop_assert!(!whole.contains(&ESC));
        }
    }
}
