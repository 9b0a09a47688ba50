//! Lines by the thousand: however output is cut, the log is the same.

use proptest::prelude::*;

use super::*;

const HOW: How = How { stamp: b"", is_stripped: false, rate: None, now: 0, size_max: 0 };

/// All pages that become of these pieces of output, each page of that size.
fn pages(pieces: &[&[u8]], how: &How, page: usize) -> (Vec<u8>, Flow) {
    let (mut flow, mut log) = (Flow::default(), Vec::new());
    for piece in pieces {
        let mut at = 0;
        loop {
            let mut bytes = vec![0; page];
            let mut here = Page::new(&mut bytes, log.len() as u64);
            let (taken, stop) = fill(&piece[at..], &mut here, &mut flow, how);
            let length = here.length();
            assert!(taken > 0 || length > 0 || stop != Stop::Full, "no progress");
            at += taken;
            log.extend_from_slice(&bytes[..length]);
            match stop {
                Stop::Taken => break,
                Stop::Full => {}
                Stop::Large => panic!("there is no limit"),
            }
        }
    }
    (log, flow)
}

fn log(pieces: &[&str], how: &How) -> String {
    let pieces: Vec<_> = pieces.iter().map(|it| it.as_bytes()).collect();
    String::from_utf8(pages(&pieces, how, LINE_MAX + 4096).0).unwrap()
}

#[test]
fn plain_output_stays_as_it_is() {
    assert_eq!(log(&["a\n\nb", "c\n", "d"], &HOW), "a\n\nbc\nd");
}

#[test]
fn each_line_has_one_stamp() {
    let how = How { stamp: b"T ", ..HOW };
    assert_eq!(log(&["a\n\nb", "c\n", "d", "", "e"], &how), "T a\nT \nT bc\nT de");
}

#[test]
fn lines_of_nothing_but_colors_are_empty() {
    let how = How { stamp: b"T ", is_stripped: true, ..HOW };
    assert_eq!(log(&["\x1b[1", "m\n", "\x1b[0m", "x\n"], &how), "T \nT x\n");
}

#[test]
fn a_line_that_is_too_long_goes_on_in_the_next_one() {
    let x = |length| "x".repeat(length);
    let how = How { stamp: b"T ", ..HOW };
    assert_eq!(log(&[&x(LINE_MAX), "\n"], &how), format!("T {}\n", x(LINE_MAX)));
    let cut = format!("T {}\\\nT x\n", x(LINE_MAX));
    assert_eq!(log(&[&x(LINE_MAX), "x\n"], &how), cut);
    assert_eq!(log(&[&x(LINE_MAX + 1), "\n"], &how), cut);
    assert_eq!(log(&[&x(1), &x(LINE_MAX), "\n"], &how), cut);
    let long = log(&[&x(3 * LINE_MAX), "\n"], &HOW);
    assert_eq!(long.lines().count(), 3);
}

#[test]
fn lines_beyond_the_rate_are_counted() {
    let how = How { rate: Some(2), now: 100, ..HOW };
    let (text, mut flow) = pages(&[b"1\n2\n3\nfo", b"ur\n5"], &how, 70_000);
    assert_eq!(text, b"1\n2\n");
    assert_eq!(flow.limited, Loss { lines: 3, bytes: 8 });
    assert_eq!(flow.end_period(1099, 1000), None);
    let mut other = flow;
    assert_eq!(flow.end_period(1100, 1000), Some(Loss { lines: 3, bytes: 8 }));
    assert_eq!(other.end_period(50, 1000), Some(Loss { lines: 3, bytes: 8 }), "another boot");
    assert_eq!(flow.end_period(9999, 1000), None);
    // The rest of the fifth line, and a new one.
    let mut bytes = [0; 70_000];
    let mut page = Page::new(&mut bytes, 0);
    let how = How { now: 1200, ..how };
    assert_eq!(fill(b"x\n6\n", &mut page, &mut flow, &how), (4, Stop::Taken));
    assert_eq!(page.length(), 2);
    assert_eq!((flow.period_at, flow.period_lines), (1200, 1));
}

#[test]
fn a_log_ends_before_the_line_that_makes_it_too_large() {
    let how = How { size_max: 10, ..HOW };
    let fill = |size, text: &[u8]| {
        let (mut bytes, mut flow) = ([0; 70_000], Flow::default());
        let mut page = Page::new(&mut bytes, size);
        let answer = fill(text, &mut page, &mut flow, &how);
        (answer, page.length())
    };
    assert_eq!(fill(0, b"1234\n6789\nb\n"), ((10, Stop::Large), 10));
    assert_eq!(fill(4, b"1234\n6789\n"), ((5, Stop::Large), 5));
    assert_eq!(fill(0, b"longer than the limit\n"), ((22, Stop::Taken), 22));
    assert_eq!(fill(10, b"1"), ((0, Stop::Large), 0));
    assert_eq!(fill(9, b"1"), ((1, Stop::Taken), 1));
}

#[test]
fn what_is_lost_is_counted_to_the_end_of_its_line() {
    let mut flow = Flow { column: 4, is_begun: true, ..Flow::default() };
    flow.lose(b"rest\nlost\nhal", 28);
    assert_eq!(flow.lost, Loss { lines: 2, bytes: 13 });
    assert_eq!((flow.column, flow.skipping), (0, Skipping::Full));
    let mut bytes = [0; 70_000];
    let mut page = Page::new(&mut bytes, 0);
    assert_eq!(fill(b"f\nnew\n", &mut page, &mut flow, &HOW), (6, Stop::Taken));
    assert_eq!(page.length(), 4);
    assert_eq!(flow.lost, Loss { lines: 3, bytes: 15 });
    assert_eq!(flow.lost.tell("why"), "3 lines (15 bytes) were not written: why");
    assert_eq!(Loss { lines: 1, bytes: 2 }.tell("why"), "1 line (2 bytes) was not written: why");
    flow.lose(b"", 1);
    assert_eq!(flow.errno, 28);
}

#[test]
fn a_stream_ends_with_a_newline_if_its_line_is_open() {
    let mut flow = Flow { column: 1, is_begun: true, ..Flow::default() };
    assert!(flow.end());
    assert_eq!(flow, Flow::default());
    assert!(!flow.end());
    flow.lose(b"half", 28);
    assert!(!flow.end());
    assert_eq!(flow.lost, Loss { lines: 1, bytes: 4 });
}

#[test]
fn a_flow_is_kept_as_words() {
    let flow = Flow {
        column: 7,
        is_begun: true,
        escape: Escape::Text,
        skipping: Skipping::Full,
        period_at: 1,
        period_lines: 2,
        limited: Loss { lines: 3, bytes: 4 },
        lost: Loss { lines: 5, bytes: 6 },
        errno: 28,
    };
    assert_eq!(Flow::of(flow.words()), flow);
    assert_eq!(Flow::of(Flow::default().words()), Flow::default());
    assert_eq!(Flow::of([u64::MAX; FLOW_WORDS]).column, LINE_MAX);
}

proptest! {
    #[test]
    fn however_it_is_cut_the_log_is_the_same(
        text in "([a-z]{0,9}|\\x1b\\[1m|\n|\\x1b\\]t\\x07){0,40}",
        cuts in prop::collection::vec(0..200_usize, 0..6),
        stamp in "(T )?",
        is_stripped: bool,
        rate in prop::option::of(1..5_u64),
        page in 20..200_usize,
    ) {
        let how = How { stamp: stamp.as_bytes(), is_stripped, rate, ..HOW };
        let bytes = text.as_bytes();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|it| &bytes[it[0]..it[1]]).collect();
        let (whole, flow) = pages(&[bytes], &how, LINE_MAX + 4096);
        let (cut, cut_flow) = pages(&pieces, &how, LINE_MAX + 4096);
        prop_assert_eq!(&whole, &cut);
        prop_assert_eq!(flow, cut_flow);
        // Pages too small for some lines are cut elsewhere only if those are long.
        if bytes.split(|byte| *byte == b'\n').all(|line| line.len() + 6 < page) {
            prop_assert_eq!(&pages(&[bytes], &how, page).0, &whole);
        }
        if rate.is_none() && !is_stripped && stamp.is_empty() {
            prop_assert_eq!(&whole, bytes);
        }
    }
}
