//! One log, read forward, line by line, from where a plan says to its end; and
//! on, when there is more. What was read is never read again, and what was not
//! is not passed over, whatever the files are called by now.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::choice::{Choice, Judge, Sort};
use super::files::{self, Body, Identity, Part};
use super::tail::{LINE_MAX, read_line};

/// So much of what was read last is compared, to see that it is still there.
const TRACE: usize = 64;

/// Small, for there may be hundreds of logs.
const BUFFER: usize = 16 * 1024;

/// Whose log it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The service.
    pub service: String,
    /// Whether it is that of its stderr alone.
    pub is_stderr: bool,
    /// Where it is written now.
    pub path: PathBuf,
}

/// What came next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A line that is wanted.
    Line,
    /// Nothing, so far: of a line that is not complete there may be something.
    End,
}

/// A log.
#[derive(Debug)]
pub struct Stream {
    /// Whose.
    pub source: Source,
    /// What is read after this, the oldest first.
    rest: VecDeque<Part>,
    now: Option<Reading>,
    line: Vec<u8>,
    judge: Judge,
    /// The beginning of the line was let out already.
    is_begun: bool,
    is_dead: bool,
}

/// A file that is being read.
#[derive(Debug)]
pub struct Reading {
    /// The same, to look at.
    pub file: File,
    /// Where it was.
    pub path: PathBuf,
    /// Which it is.
    pub identity: Identity,
    is_packed: bool,
    reader: BufReader<Body>,
    /// How far it was read.
    offset: u64,
    /// What was read last.
    trace: Vec<u8>,
}

impl Reading {
    fn new(part: Part) -> io::Result<Reading> {
        let mut body = part.body()?;
        match &mut body {
            Body::Plain(file) => drop(file.seek(SeekFrom::Start(part.skip))?),
            Body::Packed(_) => drop(io::copy(&mut body.by_ref().take(part.skip), &mut io::sink())?),
        }
        Ok(Reading {
            path: part.path,
            identity: part.identity,
            is_packed: part.is_packed,
            reader: BufReader::with_capacity(BUFFER, body),
            offset: part.skip,
            trace: Vec::new(),
            file: part.file,
        })
    }

    /// Appends the next piece of a line; false if there is nothing more now.
    fn read(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        let before = line.len();
        let is_there = read_line(&mut self.reader, line)?;
        let piece = line.get(before..).unwrap_or_default();
        self.offset += u64::try_from(piece.len()).unwrap_or(0);
        self.trace
            .extend_from_slice(piece.get(piece.len().saturating_sub(TRACE)..).unwrap_or(piece));
        self.trace.drain(..self.trace.len().saturating_sub(TRACE));
        Ok(is_there)
    }

    /// Whether what was read is not in the file any more: it was emptied.
    fn is_emptied(&self) -> io::Result<bool> {
        if self.is_packed {
            return Ok(false);
        }
        if self.file.metadata()?.len() < self.offset {
            return Ok(true);
        }
        // It may have grown beyond that place again since.
        let mut found = vec![0; self.trace.len()];
        let from = self.offset.saturating_sub(u64::try_from(found.len()).unwrap_or(0));
        Ok(self.file.read_exact_at(&mut found, from).is_err() || found != self.trace)
    }
}

impl Stream {
    /// Reads these files, the oldest first.
    pub fn new(source: Source, parts: Vec<Part>) -> Stream {
        Stream {
            source,
            rest: parts.into(),
            now: None,
            line: Vec::new(),
            judge: Judge::default(),
            is_begun: false,
            is_dead: false,
        }
    }

    /// A log that cannot be read.
    pub fn dead(source: Source) -> Stream {
        Stream { is_dead: true, ..Stream::new(source, Vec::new()) }
    }

    /// It cannot be read any more.
    pub fn kill(&mut self) {
        self.is_dead = true;
    }

    /// Whether it can be read.
    pub fn is_alive(&self) -> bool {
        !self.is_dead
    }

    /// Reads no more of this file, which is broken.
    pub fn leave(&mut self) {
        self.is_dead |= self.rest.is_empty();
        self.now = None;
        self.line.clear();
    }

    /// Reads up to the end of the next line that is wanted.
    ///
    /// # Errors
    /// What read(2) says, and what is wrong with a compressed file.
    pub fn next(&mut self, choice: &Choice) -> io::Result<Next> {
        loop {
            if self.is_dead {
                return Ok(Next::End);
            }
            if self.now.is_none() {
                let Some(part) = self.rest.pop_front() else { return Ok(Next::End) };
                self.now = Some(Reading::new(part)?);
            }
            let Some(reading) = &mut self.now else { return Ok(Next::End) };
            if !reading.read(&mut self.line)? {
                if self.rest.is_empty() {
                    return Ok(Next::End);
                }
                self.now = None;
                // Files are rotated between lines; if this one was not, then
                // its last line has ended all the same.
                if self.line.is_empty() {
                    continue;
                }
                self.line.push(b'\n');
            }
            if !self.line.ends_with(b"\n") && self.line.len() < LINE_MAX {
                continue;
            }
            if self.is_begun || self.judge.judge(choice, &self.line) == Sort::Wanted {
                return Ok(Next::Line);
            }
            self.line.clear();
        }
    }

    /// The line, or what there is of one.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The line is done with.
    pub fn clear(&mut self) {
        self.is_begun = false;
        self.line.clear();
    }

    /// Whether there is a line at the end that is not complete, and is wanted.
    pub fn has_rest(&mut self, choice: &Choice) -> bool {
        let is_wanted = |judge: &mut Judge, line: &[u8]| judge.judge(choice, line) == Sort::Wanted;
        !self.line.is_empty() && (self.is_begun || is_wanted(&mut self.judge, &self.line))
    }

    /// So much of a line that is not complete is done with.
    pub fn clear_piece(&mut self, length: usize) {
        self.is_begun |= length > 0;
        self.line.drain(..length.min(self.line.len()));
    }

    /// The time of the line.
    pub fn time(&self) -> Option<u64> {
        self.judge.time
    }

    /// What is being read, if anything is.
    pub fn reading(&self) -> Option<&Reading> {
        self.now.as_ref()
    }

    /// What is to be said of an error in reading.
    pub fn explain(&self, error: &io::Error) -> String {
        let path = self.now.as_ref().map_or(&self.source.path, |reading| &reading.path);
        files::explain(path, error)
    }

    /// Goes back to the beginning of a file that was emptied; whether it was.
    ///
    /// # Errors
    /// What stat(2) and lseek(2) say.
    pub fn rewind(&mut self) -> io::Result<bool> {
        let Some(reading) = self.now.as_mut() else { return Ok(false) };
        if !reading.is_emptied()? {
            return Ok(false);
        }
        reading.reader.seek(SeekFrom::Start(0))?;
        reading.offset = 0;
        reading.trace.clear();
        self.line.clear();
        Ok(true)
    }

    /// Goes on with another file after this one.
    pub fn append(&mut self, part: Part) {
        self.rest.push_back(part);
    }
}

/// Only what is not compressed is ever gone back in.
impl Seek for Body {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Body::Plain(file) => file.seek(to),
            Body::Packed(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Reading {
    /// When it was written last, in milliseconds since 1970.
    ///
    /// # Errors
    /// What stat(2) says.
    pub fn modified(&self) -> io::Result<u64> {
        Ok(files::modified(&self.file.metadata()?))
    }
}
