//! Where to begin to read, so that the lines which are wanted follow: found from
//! the end, a block at a time. Only places are remembered, never lines, so that
//! a log may be of any size. Compressed files, which have no end to begin from,
//! are read through, and once more up to the place.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::choice::{Choice, Judge, Sort};
use super::files::{self, Part};

/// Lines have seldom more than a hundred bytes, and a block should have many.
const BLOCK: usize = 64 * 1024;

/// The longest line; what is longer is taken as several. Twice what going-log
/// writes at most, for a service may write its file itself.
pub const LINE_MAX: usize = 128 * 1024;

/// While a log is looked at it may be rotated; hardly so often in a row.
const TRIES: usize = 100;

/// What is to be read.
#[derive(Debug, Default)]
pub struct Plan {
    /// The files, the oldest first, and where in each to begin.
    pub parts: Vec<Part>,
    /// Why there are not more of them.
    pub trouble: Option<String>,
}

/// Looks for what is to be read for a choice.
///
/// # Errors
/// What the kernel says of the log, or of its directory.
pub fn plan(path: &Path, choice: &Choice) -> io::Result<Plan> {
    for _ in 0..TRIES {
        match attempt(path, choice) {
            Ok(Some(plan)) => return Ok(plan),
            // It was made shorter, or renamed, at this moment.
            Err(error)
                if [ErrorKind::UnexpectedEof, ErrorKind::Interrupted].contains(&error.kind()) => {}
            Err(error) => return Err(error),
            Ok(None) => {}
        }
    }
    Err(io::Error::other("it is rotated faster than it can be read"))
}

/// One look at all files; nothing if they were renamed meanwhile.
fn attempt(path: &Path, choice: &Choice) -> io::Result<Option<Plan>> {
    let mut plan = Plan::default();
    let mut search = Search { choice, left: choice.lines, is_over: choice.lines == Some(0) };
    for (number, entry) in files::list(path)?.iter().enumerate() {
        // The one that is written now is needed in any case: it may be followed.
        let is_late = choice.since.is_none_or(|since| entry.modified >= since);
        if number > 0 && (search.is_over || !is_late) {
            break;
        }
        let part = match Part::open_seen(entry).and_then(|part| search.begin(part)) {
            // A backup that cannot be read is where the log begins.
            Err(error) if number > 0 => {
                plan.trouble = Some(files::explain(&entry.path, &error));
                break;
            }
            other => other?,
        };
        let Some(part) = part else { return Ok(None) };
        plan.parts.push(part);
    }
    // Those that are open are who they are; now nothing may be between them.
    let seen = files::list(path)?;
    let newest = plan.parts.first().map(|part| part.identity);
    let newer = seen.iter().take_while(|entry| Some(entry.identity) != newest).count();
    let seen = seen.iter().skip(newer).map(|entry| entry.identity);
    let is_row = plan.parts.iter().map(|part| part.identity).eq(seen.take(plan.parts.len()));
    plan.parts.reverse();
    Ok(is_row.then_some(plan))
}

/// What is still to be found.
struct Search<'a> {
    choice: &'a Choice,
    left: Option<u64>,
    is_over: bool,
}

impl Search<'_> {
    /// Finds where to begin in a file.
    fn begin(&mut self, part: Option<Part>) -> io::Result<Option<Part>> {
        let Some(mut part) = part else { return Ok(None) };
        part.skip = match (part.is_packed, self.is_over) {
            (_, true) => part.file.metadata()?.len(),
            (false, false) => self.plain(&part)?,
            (true, false) => self.packed(&part)?,
        };
        Ok(Some(part))
    }

    /// Whether every line from here on is wanted, so that nothing has to be
    /// looked at.
    fn is_easy(&self) -> bool {
        self.left.is_none() && self.choice.since.is_none()
    }

    /// Takes so many lines as found, those of a file or of a block; how many of
    /// them are too many.
    fn take(&mut self, found: u64) -> u64 {
        let Some(left) = self.left else { return 0 };
        self.left = Some(left.saturating_sub(found));
        self.is_over |= found >= left;
        found.saturating_sub(left)
    }

    /// Where to begin in a file.
    fn plain(&mut self, part: &Part) -> io::Result<u64> {
        if self.is_easy() {
            return Ok(0);
        }
        let mut end = part.file.metadata()?.len();
        let mut start = end;
        let mut buffer = Vec::new();
        while end > 0 && !self.is_over {
            let begin = block(part, end, &mut buffer)?;
            let (mut judge, mut found) = (Judge::default(), Vec::new());
            let mut at = begin;
            for line in buffer.split_inclusive(|&byte| byte == b'\n') {
                match judge.judge(self.choice, line) {
                    Sort::Old => {
                        found.clear();
                        self.is_over = true;
                    }
                    Sort::Wanted => found.push(at),
                    Sort::Other => {}
                }
                at += length(line);
            }
            let extra = self.take(length(&found));
            let first = usize::try_from(extra).ok().and_then(|extra| found.get(extra));
            start = first.copied().unwrap_or(start);
            end = begin;
        }
        Ok(start)
    }

    /// How much of a compressed file to leave out.
    fn packed(&mut self, part: &Part) -> io::Result<u64> {
        if self.is_easy() {
            return Ok(0);
        }
        let all = self.look_through(part, u64::MAX, 0)?;
        match self.take(all.found) {
            // All that are wanted, and older ones are not: begin with the first.
            extra if all.found > 0 => Ok(self.look_through(part, extra, all.begin)?.end),
            _ => Ok(all.end),
        }
    }

    /// Reads a compressed file up to the line of this number, of those that are
    /// wanted and not before `begin`.
    fn look_through(&mut self, part: &Part, number: u64, begin: u64) -> io::Result<Seen> {
        let mut reader = BufReader::new(part.body()?);
        let (mut judge, mut line) = (Judge::default(), Vec::new());
        let mut seen = Seen { found: 0, begin, end: 0 };
        while read_line(&mut reader, &mut line)? {
            let after = seen.end + length(&line);
            match judge.judge(self.choice, &line) {
                Sort::Old => {
                    (seen.found, seen.begin) = (0, after);
                    self.is_over = true;
                }
                // It comes before one that is too old.
                Sort::Wanted if seen.end < begin => {}
                Sort::Wanted if seen.found == number => return Ok(seen),
                Sort::Wanted => seen.found += 1,
                Sort::Other => {}
            }
            seen.end = after;
            line.clear();
        }
        Ok(seen)
    }
}

/// What reading through a file came to.
struct Seen {
    /// Lines that are wanted, behind the last one that is too old.
    found: u64,
    /// Where that one ends.
    begin: u64,
    /// How far was read.
    end: u64,
}

fn length<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

/// Reads whole lines that end at `end`; where the first of them begins.
fn block(part: &Part, end: u64, buffer: &mut Vec<u8>) -> io::Result<u64> {
    let mut size = BLOCK;
    loop {
        let from = end.saturating_sub(u64::try_from(size).unwrap_or(u64::MAX));
        buffer.resize(usize::try_from(end - from).unwrap_or(size), 0);
        part.file.read_exact_at(buffer, from)?;
        if from == 0 {
            return Ok(0);
        }
        // The last byte ends the last line, and begins none.
        let inner = buffer.get(..buffer.len().saturating_sub(1)).unwrap_or_default();
        if let Some(at) = inner.iter().position(|&byte| byte == b'\n') {
            buffer.drain(..=at);
            return Ok(end - length(buffer));
        }
        if size >= LINE_MAX {
            return Ok(from);
        }
        size = size.saturating_mul(2);
    }
}

/// Appends to `line` up to its end; false if there is nothing more. A line that
/// has no end is one that is not complete yet, or is too long.
pub fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let room = LINE_MAX.saturating_sub(line.len());
    let mut limited = reader.by_ref().take(u64::try_from(room).unwrap_or(0));
    Ok(limited.read_until(b'\n', line)? > 0)
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
