//! The last lines of a service, for somebody who asks why it died.

use super::choice::Choice;
use super::files;
use super::moment::stamp;
use super::stream::{Next, Source, Stream};
use super::tail;

/// So long, in milliseconds, the same mark in another log is the same event.
const ECHO: u64 = 100;

/// The last lines that were written to these logs before a moment, or at all,
/// without their line ends.
///
/// # Errors
/// Why they cannot be read, in words.
pub fn last_lines(
    sources: Vec<Source>,
    count: u64,
    before: Option<u64>,
) -> Result<Vec<Vec<u8>>, String> {
    chosen_lines(sources, &Choice { lines: Some(count), before, ..Choice::default() })
}

/// The last lines of these logs that are meant by a choice, which must say how
/// many, without their line ends.
///
/// # Errors
/// As [`last_lines`].
pub fn chosen_lines(sources: Vec<Source>, choice: &Choice) -> Result<Vec<Vec<u8>>, String> {
    let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
    let is_one = sources.len() == 1;
    for source in sources {
        let path = source.path.clone();
        let failed = |error| files::explain(&path, &error);
        let plan = tail::plan(&path, choice).map_err(failed)?;
        let mut stream = Stream::new(source, plan.parts);
        loop {
            let next = stream.next(choice).map_err(failed)?;
            if next == Next::End && !stream.has_rest(choice) {
                break;
            }
            let line = stream.line();
            let line = line.strip_suffix(b"\n").unwrap_or(line).to_vec();
            found.push((stream.time().unwrap_or(0), line));
            stream.clear();
        }
    }
    found.sort_by_key(|(time, _)| *time);
    if !is_one {
        drop_echoes(&mut found);
    }
    let count = choice.lines.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    // Of several logs, each has given its last lines.
    let extra = found.len().saturating_sub(count);
    Ok(found.into_iter().skip(extra).map(|(_, line)| line).collect())
}

/// What became of a service is said in each of its logs, one after the other, and
/// not always in the same millisecond. Once is enough.
fn drop_echoes(lines: &mut Vec<(u64, Vec<u8>)>) {
    let mut said: Vec<(u64, Vec<u8>)> = Vec::new();
    lines.retain(|(time, line)| {
        let text = stamp(line).and_then(|(_, length)| line.get(length..)).unwrap_or_default();
        if !text.starts_with(b"--- ") {
            return true;
        }
        let lately = said.iter().rev().take_while(|it| time.saturating_sub(it.0) < ECHO);
        let is_new = !lately.into_iter().any(|it| it.1 == text);
        said.push((*time, text.to_vec()));
        is_new
    });
}
