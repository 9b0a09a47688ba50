//! Against a reader that keeps all lines in memory: whatever is in the files and
//! whatever is asked for, both must find the same.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::client::log::choice::Pattern;
use crate::client::log::stream::{Next, Stream};
use crate::client::say::moment;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("going-tail-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &[u8]) {
        let file = fs::File::create(self.0.join(name)).unwrap();
        if name.ends_with(".gz") {
            let mut encoder = GzEncoder::new(file, Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap();
        } else {
            (&file).write_all(text).unwrap();
        }
    }

    /// The lines that are found.
    fn find(&self, choice: &Choice) -> Vec<u8> {
        let parts = plan(&self.0.join("web.log"), choice).unwrap().parts;
        let mut stream = Stream::new(Default::default(), parts);
        let mut found = Vec::new();
        while let Next::Line = stream.next(choice).unwrap() {
            found.extend_from_slice(stream.line());
            stream.clear();
        }
        found.extend_from_slice(stream.line());
        found
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn last(lines: u64) -> Choice {
    Choice { lines: Some(lines), ..Choice::default() }
}

#[test]
fn last_lines_are_the_last_ones_over_all_files() {
    let folder = Folder::new("files");
    folder.write("web.log", b"7\n8\n");
    folder.write("web.log.1", b"5\n6\n");
    folder.write("web.log.2.gz", b"3\n4\n");
    folder.write("web.log.3.gz", b"1\n2\n");
    let all = b"1\n2\n3\n4\n5\n6\n7\n8\n";
    for lines in 0..=9 {
        let from = all.len().saturating_sub(2 * lines);
        let found = folder.find(&last(lines as u64));
        assert_eq!(String::from_utf8(found).unwrap(), str::from_utf8(&all[from..]).unwrap());
    }
    assert_eq!(folder.find(&Choice::default()), all);
}

#[test]
fn lines_may_have_no_end_and_be_very_long() {
    let folder = Folder::new("long");
    folder.write("web.log", b"1\n2");
    assert_eq!(folder.find(&last(1)), b"2");
    assert_eq!(folder.find(&last(2)), b"1\n2");
    let long = [b"a\n".to_vec(), vec![b'x'; 3 * LINE_MAX + 5], b"\nb\n".to_vec()].concat();
    folder.write("web.log", &long);
    assert_eq!(folder.find(&last(1)), b"b\n");
    assert_eq!(folder.find(&last(100)), long);
    assert_eq!(folder.find(&Choice::default()), long);
    folder.write("web.log", b"");
    assert_eq!(folder.find(&last(3)), b"");
}

#[test]
fn broken_backups_are_where_a_log_begins() {
    let folder = Folder::new("broken");
    folder.write("web.log", b"1\n");
    folder.write("web.log.1.gz", b"0\n");
    let file = folder.0.join("web.log.1.gz");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();
    assert_eq!(folder.find(&last(1)), b"1\n");
    assert_eq!(folder.find(&last(2)), b"1\n");
    let trouble = plan(&folder.0.join("web.log"), &last(2)).unwrap().trouble.unwrap();
    assert!(trouble.contains("web.log.1.gz: "), "{trouble}");
}

#[test]
fn a_line_without_a_time_before_one_that_is_too_old_is_too_old_in_a_backup_also() {
    let folder = Folder::new("untimed");
    let (old, new) = (moment(1_000_003), moment(1_000_006));
    folder.write("web.log.1.gz", format!("b\n{old} \n\n{new} b\n").as_bytes());
    folder.write("web.log", b"");
    let choice = Choice { lines: None, since: Some(1_000_004), pattern: None, before: None };
    assert_eq!(folder.find(&choice), format!("{new} b\n").into_bytes());
}

/// Lines with times that never go back, some without.
fn logs() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let line = (0..3_u64, any::<bool>(), "[ab]{0,3}");
    proptest::collection::vec(proptest::collection::vec(line, 0..6), 1..4).prop_map(|files| {
        let mut time = 1_000_000;
        let line = |(step, has_time, text): (u64, bool, String)| {
            time += step;
            if has_time { format!("{} {text}\n", moment(time)) } else { format!("{text}\n") }
        };
        let mut line = line;
        files
            .into_iter()
            .map(|lines| lines.into_iter().map(&mut line).collect::<String>().into_bytes())
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]
    #[test]
    fn what_is_found_is_what_was_asked_for(
        files in logs(),
        lines in proptest::option::of(0..8_u8),
        since in proptest::option::of(999_999..1_000_020_u64),
        pattern in proptest::option::of("[ab]"),
        packed in any::<bool>(),
    ) {
        let pattern = pattern.map(|it| Pattern::read(&it, false).unwrap());
        let choice = Choice { lines: lines.map(u64::from), since, pattern, before: None };
        let folder = Folder::new("prop");
        for (number, text) in files.iter().rev().enumerate() {
            match (number, packed) {
                (0, _) => folder.write("web.log", text),
                (_, true) => folder.write(&format!("web.log.{number}.gz"), text),
                (_, false) => folder.write(&format!("web.log.{number}"), text),
            }
        }
        // Each file begins with a line whose time is not known.
        let mut expected: Vec<&[u8]> = Vec::new();
        for text in &files {
            let mut judge = Judge::default();
            for line in text.split_inclusive(|&byte| byte == b'\n') {
                match judge.judge(&choice, line) {
                    Sort::Old => expected.clear(),
                    Sort::Wanted => expected.push(line),
                    Sort::Other => {}
                }
            }
        }
        let extra = lines.map_or(0, |lines| expected.len().saturating_sub(usize::from(lines)));
        prop_assert_eq!(folder.find(&choice), expected[extra..].concat());
    }
}
