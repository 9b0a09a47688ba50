//! Lines that services wrote, from the files going told us. No word of a request
//! ever becomes part of the name of a file.

use crate::client::Reply;
use crate::client::json::LastWords;
use crate::client::log::choice::Pattern;
use crate::client::log::{self, Choice, Source, Wanted};
use crate::client::reply::Status;

/// So many lines tell why something died.
const LAST_WORDS: u64 = 20;

/// Which streams a word means.
pub fn wanted(word: Option<&str>) -> Option<Wanted> {
    match word {
        None | Some("both") => Some(Wanted::Both),
        Some("stdout") => Some(Wanted::One { is_stderr: false }),
        Some("stderr") => Some(Wanted::One { is_stderr: true }),
        Some(_) => None,
    }
}

/// The last lines.
///
/// # Errors
/// Why they cannot be read.
pub fn last(
    sources: Vec<Source>,
    lines: u64,
    pattern: Option<&str>,
) -> Result<Vec<Vec<u8>>, String> {
    let pattern = pattern.map(|text| Pattern::read(text, true)).transpose()?;
    log::chosen_lines(sources, &Choice { lines: Some(lines), pattern, ..Choice::default() })
}

/// Lines as a text.
pub fn joined(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut text = lines.join(&b'\n');
    if !text.is_empty() {
        text.push(b'\n');
    }
    text
}

/// What a service wrote last.
pub fn last_words(reply: &Reply, service: &Status) -> LastWords {
    let block = reply.blocks.iter().find(|it| it.get("service") == Some(&service.name))?;
    let sources = log::of(block, Wanted::Both).ok()?;
    Some(log::last_lines(sources, LAST_WORDS, None))
}
