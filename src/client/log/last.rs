//! The last lines of a service, for somebody who asks why it died.

use super::choice::Choice;
use super::files;
use super::stream::{Next, Source, Stream};
use super::tail;

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
    let count = choice.lines.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    // Of several logs, each has given its last lines.
    found.sort_by_key(|(time, _)| *time);
    let extra = found.len().saturating_sub(count);
    Ok(found.into_iter().skip(extra).map(|(_, line)| line).collect())
}
