//! What going is to report for us. Each situation is told once, not each line,
//! and what nobody takes is kept only up to a limit.

use std::collections::VecDeque;

/// How much a report matters, in the words of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Output cannot be written.
    Error,
    /// Somebody may want to know.
    Warning,
    /// It is well again.
    Info,
}

impl Level {
    /// As going understands it.
    pub fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
        }
    }
}

/// So many bytes of reports wait for going.
const WAITING_MAX: usize = 64 * 1024;

/// Reports which going has not heard.
#[derive(Debug, Default)]
pub struct News {
    waiting: VecDeque<(Level, String)>,
    bytes: usize,
}

impl News {
    /// Adds a report, or leaves it out if there are too many.
    pub fn add(&mut self, level: Level, text: String) {
        if self.bytes + text.len() <= WAITING_MAX {
            self.bytes += text.len();
            self.waiting.push_back((level, text));
        }
    }

    /// The oldest one.
    pub fn first(&self) -> Option<(Level, &str)> {
        self.waiting.front().map(|(level, text)| (*level, text.as_str()))
    }

    /// Forgets the oldest one.
    pub fn drop_first(&mut self) {
        if let Some((_, text)) = self.waiting.pop_front() {
            self.bytes -= text.len();
        }
    }
}
