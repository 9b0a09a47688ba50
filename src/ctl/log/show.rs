//! How lines of logs are shown: raw in a pipe, byte for byte; on a terminal so
//! that nothing in them moves a cursor or passes for what it is not. Colors are
//! kept there, and end with their line.

use std::io::Write;

use serde_json::json;

use crate::client::Trouble;
use crate::client::log::Source;
use crate::client::log::moment::stamp;
use crate::client::say;
use crate::ctl::screen::Style;
use crate::ctl::{Session, print_bytes};

/// Gathered before it is written: a line a system call would be slow.
const FULL: usize = 32 * 1024;

/// The colors of prefixes, which differ from those of states on purpose.
const COLORS: [&str; 6] = ["36", "33", "32", "35", "34", "96"];

/// The longest sequence that changes a color and means it.
const COLOR_MAX: usize = 32;

/// Shows lines.
#[derive(Debug)]
pub struct Show {
    style: Style,
    is_json: bool,
    /// What stands before the lines of each log; nothing if there is only one.
    prefixes: Vec<String>,
    buffer: Vec<u8>,
    /// What was written last is no whole line.
    is_amid: bool,
}

impl Show {
    /// Shows the lines of these logs.
    pub fn new(session: &Session, sources: &[Source]) -> Show {
        let mut show = Show {
            style: session.style,
            is_json: session.is_json,
            prefixes: Vec::new(),
            buffer: Vec::new(),
            is_amid: false,
        };
        if sources.len() > 1 {
            show.name_all(sources.iter());
        }
        show
    }

    /// Shows the name of each log before its lines.
    pub fn name_all<'a>(&mut self, sources: impl Iterator<Item = &'a Source> + Clone) {
        let width = sources.clone().map(|source| label(source).len()).max().unwrap_or(0);
        let mut names: Vec<&str> = sources.clone().map(|source| source.service.as_str()).collect();
        names.dedup();
        self.prefixes = sources.map(|it| self.prefix(it, &names, width)).collect();
    }

    fn prefix(&self, source: &Source, names: &[&str], width: usize) -> String {
        let text = format!("{:<width$} | ", label(source));
        if !self.style.has_color {
            return text;
        }
        let place = names.iter().position(|name| *name == source.service).unwrap_or(0);
        let color = COLORS.get(place % COLORS.len()).unwrap_or(&"36");
        format!("\x1b[{color}m{text}\x1b[0m")
    }

    /// Whether a line can be shown before it is complete.
    pub fn takes_pieces(&self) -> bool {
        self.prefixes.is_empty() && !self.is_json
    }

    /// Shows a line of a log, with its line end or without.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn line(&mut self, number: usize, source: &Source, line: &[u8]) -> Result<(), Trouble> {
        if self.is_json {
            self.buffer.extend_from_slice(object(source, line).as_bytes());
        } else {
            if let Some(prefix) = self.prefixes.get(number) {
                self.buffer.extend_from_slice(prefix.as_bytes());
            }
            self.text(line);
            // The next one must not stand behind it; in a pipe, all is as it was.
            let is_shared = self.style.is_terminal || !self.prefixes.is_empty();
            if is_shared && !line.ends_with(b"\n") {
                self.buffer.push(b'\n');
            }
        }
        self.is_amid = false;
        if self.buffer.len() >= FULL { self.flush() } else { Ok(()) }
    }

    /// Shows as much as can be of a line that is not complete; how much that is.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn piece(&mut self, piece: &[u8]) -> Result<usize, Trouble> {
        let length = if self.style.is_terminal { settled(piece) } else { piece.len() };
        if length > 0 {
            self.text(piece.get(..length).unwrap_or_default());
            self.is_amid = true;
            self.flush()?;
        }
        Ok(length)
    }

    fn text(&mut self, text: &[u8]) {
        if self.style.is_terminal {
            safe(text, self.style.has_color, &mut self.buffer);
        } else {
            self.buffer.extend_from_slice(text);
        }
    }

    /// Ends a line that is not complete, before something else is said.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn end_line(&mut self) -> Result<(), Trouble> {
        if std::mem::take(&mut self.is_amid) && self.style.is_terminal {
            self.buffer.push(b'\n');
        }
        self.flush()
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn flush(&mut self) -> Result<(), Trouble> {
        let result = print_bytes(&self.buffer);
        self.buffer.clear();
        result
    }
}

/// What a log is called: `web`, or `web+stderr` as its file is.
pub fn label(source: &Source) -> String {
    let stream = if source.is_stderr { "+stderr" } else { "" };
    format!("{}{stream}", source.service)
}

/// A line as JSON has it, on one line.
fn object(source: &Source, line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (time, length) = stamp(line).map_or((None, 0), |(time, it)| (Some(say::moment(time)), it));
    let text = String::from_utf8_lossy(line.get(length..).unwrap_or_default());
    let stream = if source.is_stderr { "stderr" } else { "stdout" };
    let service = &source.service;
    format!("{}\n", json!({ "time": time, "service": service, "stream": stream, "text": text }))
}

/// How much of a piece can be shown without knowing what follows: neither half a
/// letter nor half a color.
fn settled(piece: &[u8]) -> usize {
    let end = piece.len();
    let escape = piece.iter().rposition(|&byte| byte == 0x1b).filter(|at| end - at < COLOR_MAX);
    if let Some(at) = escape {
        let rest = piece.get(at..).unwrap_or_default();
        let is_open = rest.iter().skip(1).all(|byte| b"[0123456789;:".contains(byte));
        if is_open {
            return at;
        }
    }
    let last = piece.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
    // Less than four bytes that are wrong only because they end.
    let from = end - last;
    let tail = piece.get(from..).unwrap_or_default();
    let is_cut = std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
    if is_cut { from } else { end }
}

/// Writes text that is safe on a terminal, much as `cat -v` does; letters of all
/// scripts are kept, and colors if there are to be any.
pub fn safe(text: &[u8], has_color: bool, out: &mut Vec<u8>) {
    let (text, end) = match text.strip_suffix(b"\n") {
        Some(text) => (text.strip_suffix(b"\r").unwrap_or(text), "\n"),
        None => (text, ""),
    };
    let mut is_painted = false;
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(letter) = rest.chars().next() {
            let length = match color(rest) {
                Some(length) => {
                    is_painted = true;
                    if has_color {
                        out.extend_from_slice(rest.get(..length).unwrap_or_default().as_bytes());
                    }
                    length
                }
                None => {
                    show_letter(letter, out);
                    letter.len_utf8()
                }
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        for byte in chunk.invalid() {
            // A write into memory cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    if is_painted && has_color {
        out.extend_from_slice(b"\x1b[0m");
    }
    out.extend_from_slice(end.as_bytes());
}

/// The length of a sequence that changes colors, if the text begins with one:
/// `ESC [ 1 ; 31 m`.
fn color(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\x1b[")?;
    let length =
        rest.bytes().take(COLOR_MAX).position(|it| !matches!(it, b'0'..=b'9' | b';' | b':'))?;
    (rest.as_bytes().get(length) == Some(&b'm')).then_some(length + 3)
}

fn show_letter(letter: char, out: &mut Vec<u8>) {
    let _ = match letter {
        '\t' => write!(out, "\t"),
        '\0'..='\x1f' => write!(out, "^{}", char::from(b'@' + u8::try_from(letter).unwrap_or(0))),
        '\x7f' => write!(out, "^?"),
        // More controls; and marks which turn the direction of what follows, so
        // that it seems to be something else.
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => write!(out, "{}", letter.escape_unicode()),
        _ => write!(out, "{letter}"),
    };
}

/// Whether nobody reads what we write any more; told by poll(2), not by writing.
pub fn is_unheard(events: Option<nix::poll::PollFlags>) -> bool {
    use nix::poll::PollFlags;
    events.is_some_and(|it| it.intersects(PollFlags::POLLERR | PollFlags::POLLHUP))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &[u8], has_color: bool) -> String {
        let mut out = Vec::new();
        safe(text, has_color, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_moves_a_cursor() {
        for (text, is) in [
            (&b"plain text\n"[..], "plain text\n"),
            (b"tab\tand crlf\r\n", "tab\tand crlf\n"),
            (b"over\rwritten\n", "over^Mwritten\n"),
            (b"bell\x07 null\x00 delete\x7f\n", "bell^G null^@ delete^?\n"),
            (b"\x1b[2J\x1b]0;title\x07\n", "^[[2J^[]0;title^G\n"),
            (b"\x1b[31mred\n", "\x1b[31mred\x1b[0m\n"),
            (b"\x1b[1;38:5:8mx\x1b[0m\n", "\x1b[1;38:5:8mx\x1b[0m\x1b[0m\n"),
            (b"\x1b[31;1Hm\n", "^[[31;1Hm\n"),
            (b"\x1b[", "^[["),
            ("ünï \u{202e}txet \u{9b}31m\n".as_bytes(), "ünï \\u{202e}txet \\u{9b}31m\n"),
            (b"bad \xff\xc3\n", "bad \\xff\\xc3\n"),
        ] {
            assert_eq!(shown(text, true), is, "{text:?}");
        }
        assert_eq!(shown(b"\x1b[31mred\x1b[0m\n", false), "red\n");
    }

    #[test]
    fn pieces_end_with_a_whole_letter() {
        for (piece, length) in [
            (&b""[..], 0),
            (b"abc", 3),
            (b"ab\xc3", 2),
            (b"ab\xc3\xa9", 4),
            (b"ab\xf0\x9f\x98", 2),
            (b"ab\xff", 3),
            (b"ab\x1b", 2),
            (b"ab\x1b[31", 2),
            (b"ab\x1b[31m", 7),
            (b"ab\x1b[31H", 7),
        ] {
            assert_eq!(settled(piece), length, "{piece:?}");
        }
    }

    #[test]
    fn json_parts_the_time_from_the_text() {
        let source = Source { service: "web".into(), ..Source::default() };
        assert_eq!(
            object(&source, b"2026-11-21T11:05:06.123+01:00 a \"b\" \xff\n"),
            "{\"service\":\"web\",\"stream\":\"stdout\",\"text\":\"a \\\"b\\\" \u{fffd}\",\
             \"time\":\"2026-11-21T10:05:06.123Z\"}\n"
        );
        let source = Source { is_stderr: true, ..source };
        assert!(object(&source, b"x").contains("\"time\":null"));
        assert!(object(&source, b"x").contains("\"stream\":\"stderr\""));
    }
}
