//! The report of the program, as it comes in.

use std::io::BufRead;
use std::sync::{Condvar, Mutex};

/// All lines so far, filled by a thread that reads them.
#[derive(Default)]
pub struct Report {
    pub lines: Mutex<Vec<String>>,
    pub more: Condvar,
}

impl Report {
    pub fn fill(&self, source: impl BufRead) {
        for line in source.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            // `going[12]: TEXT`; what services say is kept as it is.
            let text = line.strip_prefix("going[").and_then(|it| it.split_once("]: "));
            let text = text.map_or(line.as_str(), |(_, text)| text).to_owned();
            self.lines.lock().unwrap().push(text);
            self.more.notify_all();
        }
    }
}

/// Whether the whole of `line` is like `pattern`, in which `*` is any text.
pub fn like(pattern: &str, line: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == line,
        Some((head, tail)) => line.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|it| like(tail, it)))
        }),
    }
}
