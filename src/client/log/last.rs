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
    let choice = Choice { lines: Some(count), before, ..Choice::default() };
    let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
    for source in sources {
        let path = source.path.clone();
        let failed = |error| files::explain(&path, &error);
        let plan = tail::plan(&path, &choice).map_err(failed)?;
        let mut stream = Stream::new(source, plan.parts);
        loop {
            let next = stream.next(&choice).map_err(failed)?;
            if next == Next::End && !stream.has_rest(&choice) {
                break;
            }
            let line = stream.line();
            let line = line.strip_suffix(b"\n").unwrap_or(line).to_vec();
            found.push((stream.time().unwrap_or(0), line));
            stream.clear();
        }
    }
    // Of several logs, each has given its last lines.
    found.sort_by_key(|(time, _)| *time);
    let extra = found.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(found.into_iter().skip(extra).map(|(_, line)| line).collect())
}
