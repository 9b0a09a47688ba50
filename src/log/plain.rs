//! Output that becomes what it is: nothing is copied, and lines are only looked at
//! where a log is large enough or a line too long. The same as `lines.rs` would
//! make of it, in one step for as many lines as there are.

use memchr::{memchr, memrchr};

use super::lines::{Flow, LINE_MAX, Stop};

/// How much of `output` goes into a log of that `size` in one piece, and why no
/// more: with [`Stop::Full`] a line is to be broken before the next byte.
pub fn pass(output: &[u8], flow: &mut Flow, size: u64, size_max: u64) -> (usize, Stop) {
    let mut rest = output;
    let stop = loop {
        if rest.is_empty() {
            break Stop::Taken;
        }
        let here = size.saturating_add(count(output.len() - rest.len()));
        // Whole lines, none of which can be too long, up to the last that fits.
        let room = if size_max > 0 { size_max.saturating_sub(here) } else { u64::MAX };
        let within = usize::try_from(room).unwrap_or(usize::MAX).min(LINE_MAX + 1);
        let near = rest.get(..within).unwrap_or(rest);
        if let Some(last) = memrchr(b'\n', near).filter(|_| flow.column == 0) {
            flow.break_line();
            flow.is_begun = false;
            rest = rest.get(last + 1..).unwrap_or_default();
            continue;
        }
        let length_max = LINE_MAX - flow.column.min(LINE_MAX);
        let line = memchr(b'\n', rest);
        let is_long = line.unwrap_or(rest.len()) > length_max;
        let length = if is_long { length_max } else { line.map_or(rest.len(), |end| end + 1) };
        let is_too_large =
            size_max > 0 && here > 0 && here.saturating_add(count(length)) > size_max;
        if flow.column == 0 && is_too_large {
            break Stop::Large;
        }
        rest = rest.get(length..).unwrap_or_default();
        flow.column += length;
        flow.is_begun = true;
        if is_long {
            break Stop::Full;
        }
        if line.is_some() {
            flow.break_line();
            flow.is_begun = false;
        }
    };
    (output.len() - rest.len(), stop)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lines::{How, Page, fill};
    use super::*;

    const HOW: How = How { stamp: b"", is_stripped: false, rate: None, now: 0, size_max: 0 };

    /// All logs that become of these pieces, one after the other, with `pass` where
    /// that goes, or without.
    fn logs(pieces: &[Vec<u8>], size_max: u64, is_passing: bool) -> (Vec<Vec<u8>>, Flow) {
        let (mut logs, mut flow) = (vec![Vec::new()], Flow::default());
        for piece in pieces {
            let mut rest = &piece[..];
            loop {
                let log = logs.last_mut().unwrap();
                let mut step = (0, Stop::Full);
                if is_passing {
                    step = pass(rest, &mut flow, log.len() as u64, size_max);
                    log.extend_from_slice(&rest[..step.0]);
                }
                if step == (0, Stop::Full) {
                    let mut bytes = vec![0; if is_passing { 4096 } else { LINE_MAX + 4096 }];
                    let mut page = Page::new(&mut bytes, log.len() as u64);
                    step = fill(rest, &mut page, &mut flow, &How { size_max, ..HOW });
                    let length = page.length();
                    assert!(step != (0, Stop::Full) || length > 0, "no progress");
                    log.extend_from_slice(&bytes[..length]);
                }
                rest = &rest[step.0..];
                match step.1 {
                    Stop::Taken => break,
                    Stop::Full => {}
                    Stop::Large => logs.push(Vec::new()),
                }
            }
        }
        (logs, flow)
    }

    fn lengths() -> impl Strategy<Value = usize> {
        let long = LINE_MAX - 2..2 * LINE_MAX + 3;
        prop_oneof![20 => 0..200_usize, 1 => long]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn it_is_what_lines_make_of_it(
            lines in prop::collection::vec(lengths(), 1..60),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            size_max in prop_oneof![Just(0), 1..3000_u64, 60_000..200_000_u64],
        ) {
            let mut text = Vec::new();
            for (length, letter) in lines.into_iter().zip((b'a'..=b'z').cycle()) {
                text.extend(std::iter::repeat_n(letter, length));
                text.push(b'\n');
            }
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            cuts.extend([0, text.len() - 1]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| text[cut[0]..cut[1]].to_vec()).collect();
            prop_assert!(logs(&pieces, size_max, true) == logs(&pieces, size_max, false));
        }
    }
}
