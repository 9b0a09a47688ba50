//! From output to what a log has of it: timestamps, stripped sequences, lines of
//! a bearable length, not too many of them. Pure: bytes in, bytes out, and a
//! [`Flow`] that holds all which the next byte depends on, so that a batch can be
//! broken off after any byte and taken up again by another process.

use memchr::{memchr, memchr_iter};

use super::strip::{Escape, strip};

/// A longer line goes on in the next one: whoever reads line by line must not
/// need any amount of memory.
pub const LINE_MAX: usize = 64 * 1024;

/// At the end of a line that goes on in the next one.
const GOES_ON: &[u8] = b"\\\n";

/// Lines that were not written, and how long they were, newlines included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Loss {
    /// Whether nothing is lost.
    pub fn is_none(self) -> bool {
        self == Loss::default()
    }

    /// Adds what was lost, too.
    pub fn add(&mut self, lines: u64, bytes: usize) {
        self.lines = self.lines.saturating_add(lines);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Adds another loss.
    pub fn add_all(&mut self, other: Loss) {
        self.lines = self.lines.saturating_add(other.lines);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// Told as in the log.
    pub fn tell(self, reason: &str) -> String {
        let Loss { lines, bytes } = self;
        let (s, were) = if lines == 1 { ("", "was") } else { ("s", "were") };
        format!("{lines} line{s} ({bytes} bytes) {were} not written: {reason}")
    }
}

/// Why the rest of a line is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Skipping {
    /// It is not.
    #[default]
    No = 0,
    /// There are too many lines.
    Rate = 1,
    /// The log could not be written.
    Full = 2,
}

/// Where a stream is: all that the next byte depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flow {
    /// How much of the current line is in the log.
    pub column: usize,
    /// A line has begun, even if nothing of it is in the log yet.
    pub is_begun: bool,
    /// Inside of an escape sequence.
    pub escape: Escape,
    /// Leaving out the rest of a line.
    pub skipping: Skipping,
    /// When the current period of the rate began, in milliseconds.
    pub period_at: u64,
    /// Lines since then.
    pub period_lines: u64,
    /// Beyond the rate, and not told yet.
    pub limited: Loss,
    /// Not written, and not told yet.
    pub lost: Loss,
    /// Why, as an error number.
    pub errno: u64,
}

impl Flow {
    /// Ends the period of the rate if it is over; what was left out in it.
    pub fn end_period(&mut self, now: u64, period: u64) -> Option<Loss> {
        let is_over = now < self.period_at || now - self.period_at >= period;
        if !is_over || self.period_lines == 0 && self.limited.is_none() {
            return None;
        }
        self.period_lines = 0;
        Some(std::mem::take(&mut self.limited)).filter(|loss| !loss.is_none())
    }

    /// Takes note of output that cannot be written, beginning here.
    pub fn lose(&mut self, output: &[u8], errno: u64) {
        let Some(last) = output.last() else { return };
        let lines = memchr_iter(b'\n', output).count();
        self.lost.add(u64::try_from(lines).unwrap_or(u64::MAX), output.len());
        self.errno = errno;
        self.break_line();
        // Half a line would look like a whole one.
        self.skipping = if *last == b'\n' { Skipping::No } else { Skipping::Full };
        self.is_begun = *last != b'\n';
    }

    /// What comes next in the log is the beginning of a line.
    pub fn break_line(&mut self) {
        self.column = 0;
        self.escape = Escape::None;
    }

    /// The stream ended. Whether a newline is to be written for its last line.
    pub fn end(&mut self) -> bool {
        if self.skipping == Skipping::Full && self.is_begun {
            self.lost.add(1, 0);
        }
        let is_open = self.column > 0;
        self.break_line();
        self.is_begun = false;
        self.skipping = Skipping::No;
        is_open
    }
}

/// As many words as a flow needs in the journal.
pub const FLOW_WORDS: usize = 9;

impl Flow {
    /// All of it as words.
    pub fn words(&self) -> [u64; FLOW_WORDS] {
        let state = u64::from(self.is_begun)
            | u64::from(self.escape as u8) << 8
            | u64::from(self.skipping as u8) << 16;
        [
            u64::try_from(self.column).unwrap_or(0),
            state,
            self.period_at,
            self.period_lines,
            self.limited.lines,
            self.limited.bytes,
            self.lost.lines,
            self.lost.bytes,
            self.errno,
        ]
    }

    /// Reads what [`Flow::words`] wrote.
    pub fn of(words: [u64; FLOW_WORDS]) -> Flow {
        let [column, state, period_at, period_lines, many, much, lines, bytes, errno] = words;
        Flow {
            column: usize::try_from(column).unwrap_or(0).min(LINE_MAX),
            is_begun: state & 1 != 0,
            escape: Escape::of(state >> 8 & 0xff),
            skipping: match state >> 16 & 0xff {
                1 => Skipping::Rate,
                2 => Skipping::Full,
                _ => Skipping::No,
            },
            period_at,
            period_lines,
            limited: Loss { lines: many, bytes: much },
            lost: Loss { lines, bytes },
            errno,
        }
    }
}

/// How lines are to be written.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// Before each line, with its blank; empty for none.
    pub stamp: &'a [u8],
    /// Escape sequences are left out.
    pub is_stripped: bool,
    /// So many lines a period.
    pub rate: Option<u64>,
    /// Now, as periods are measured.
    pub now: u64,
    /// How large the log may become; 0 is no limit.
    pub size_max: u64,
}

/// What goes into a log with the next write.
pub struct Page<'a> {
    bytes: &'a mut [u8],
    length: usize,
    /// How large the log is without it.
    size: u64,
}

impl<'a> Page<'a> {
    /// An empty one for a log of that size.
    pub fn new(bytes: &'a mut [u8], size: u64) -> Page<'a> {
        Page { bytes, length: 0, size }
    }

    /// How much there is to be written.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Adds text if there is room for all of it.
    pub fn put(&mut self, text: &[u8]) -> bool {
        let end = self.length + text.len();
        let Some(place) = self.bytes.get_mut(self.length..end) else { return false };
        place.copy_from_slice(text);
        self.length = end;
        true
    }

    /// Adds a line of our own, for which there is room in an empty page.
    pub fn put_note(&mut self, stamp: &[u8], text: &str) {
        if self.room() > stamp.len() + text.len() + b"--- \n".len() {
            self.put(stamp);
            self.put(b"--- ");
            self.put(text.as_bytes());
            self.put(b"\n");
        }
    }

    fn room(&self) -> usize {
        self.bytes.len() - self.length
    }

    /// Whether `more` bytes make the log larger than it may be, and a new one
    /// could be begun instead.
    fn is_too_large(&self, more: usize, size_max: u64) -> bool {
        let here = self.size.saturating_add(u64::try_from(self.length).unwrap_or(0));
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        size_max > 0 && here > 0 && here.saturating_add(more) > size_max
    }
}

/// Why [`fill`] came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// All output is taken.
    Taken,
    /// The page is full.
    Full,
    /// The log is as large as it may be, and here a line begins.
    Large,
}

/// Puts output into a page as far as it goes; how much of it was taken. There is
/// always room for a line of [`LINE_MAX`] in an empty page.
pub fn fill(output: &[u8], page: &mut Page, flow: &mut Flow, how: &How) -> (usize, Stop) {
    let mut rest = output;
    let stop = loop {
        if rest.is_empty() {
            break Stop::Taken;
        }
        if flow.skipping != Skipping::No {
            rest = skip(rest, flow);
            continue;
        }
        let length_max = LINE_MAX - flow.column.min(LINE_MAX);
        let line = memchr(b'\n', rest);
        let is_long = line.unwrap_or(rest.len()) > length_max;
        let length = if is_long { length_max } else { line.map_or(rest.len(), |end| end + 1) };
        let need = length + if flow.column == 0 { how.stamp.len() } else { 0 } + GOES_ON.len();
        if flow.column == 0 && page.is_too_large(need - GOES_ON.len(), how.size_max) {
            break Stop::Large;
        }
        if need > page.room() {
            break Stop::Full;
        }
        if !flow.is_begun && !begin(flow, how) {
            continue;
        }
        let Some((piece, after)) = rest.split_at_checked(length) else { break Stop::Taken };
        rest = after;
        put_piece(piece, page, flow, how);
        if is_long && flow.column > 0 {
            page.put(GOES_ON);
            flow.column = 0;
        }
    };
    (output.len() - rest.len(), stop)
}

/// A line begins; false if it is one too many.
fn begin(flow: &mut Flow, how: &How) -> bool {
    flow.is_begun = true;
    let Some(lines) = how.rate else { return true };
    if flow.period_lines == 0 {
        flow.period_at = how.now;
    }
    if flow.period_lines >= lines {
        flow.skipping = Skipping::Rate;
        flow.limited.add(1, 0);
        return false;
    }
    flow.period_lines += 1;
    true
}

/// Leaves out the rest of a line, and answers with what comes after it.
pub fn skip<'a>(rest: &'a [u8], flow: &mut Flow) -> &'a [u8] {
    let end = memchr(b'\n', rest);
    let length = end.map_or(rest.len(), |end| end + 1);
    match flow.skipping {
        Skipping::Full => flow.lost.add(u64::from(end.is_some()), length),
        Skipping::Rate | Skipping::No => flow.limited.add(0, length),
    }
    if end.is_some() {
        flow.skipping = Skipping::No;
        flow.is_begun = false;
    }
    rest.get(length..).unwrap_or_default()
}

/// Puts a part of a line, which may end with its newline.
fn put_piece(piece: &[u8], page: &mut Page, flow: &mut Flow, how: &How) {
    let text = piece.strip_suffix(b"\n");
    if how.is_stripped {
        let mut escape = flow.escape;
        strip(text.unwrap_or(piece), &mut escape, |text| put_text(text, page, flow, how));
        flow.escape = escape;
        if text.is_some() {
            put_text(b"\n", page, flow, how);
        }
    } else {
        put_text(piece, page, flow, how);
    }
    if text.is_some() {
        flow.break_line();
        flow.is_begun = false;
    }
}

fn put_text(text: &[u8], page: &mut Page, flow: &mut Flow, how: &How) {
    if flow.column == 0 {
        page.put(how.stamp);
    }
    page.put(text);
    flow.column += text.len();
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
