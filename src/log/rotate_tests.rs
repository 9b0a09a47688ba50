//! Backups in order, whatever was left by those who were killed.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use super::super::journal::tests::Folder;
use super::*;

fn with_files(names: &[&str]) -> (Folder, File) {
    let folder = Folder::new();
    for name in names {
        fs::write(folder.0.join(name), name).unwrap();
    }
    let dir = File::open(&folder.0).unwrap();
    (folder, dir)
}

/// What there is, as `NAME=what it was called`.
fn state(folder: &Folder) -> String {
    let mut names: Vec<_> = fs::read_dir(&folder.0)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let show = |name: &String| {
        let was = fs::read_to_string(folder.0.join(name)).unwrap();
        format!("{}={}", name.replace("web.log", ""), was.replace("web.log", ""))
    };
    names.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn rotated(names: &[&str], keep: u32) -> String {
    let (folder, dir) = with_files(names);
    rotate(dir.as_fd(), &folder.0, "web", keep, 0).unwrap();
    state(&folder)
}

#[test]
fn backups_move_on_and_the_last_falls_off() {
    assert_eq!(rotated(&["web.log"], 2), ".1=");
    assert_eq!(rotated(&["web.log", "web.log.1"], 2), ".1= .2=.1");
    assert_eq!(rotated(&["web.log", "web.log.1", "web.log.2.gz"], 2), ".1= .2=.1");
    let four = ["web.log", "web.log.1", "web.log.2.gz", "web.log.3.gz"];
    assert_eq!(rotated(&four, 4), ".1= .2=.1 .3.gz=.2.gz .4.gz=.3.gz");
    assert_eq!(rotated(&four, 1), ".1=");
    assert_eq!(rotated(&["web.log", "web.log.1"], 1), ".1=");
    assert_eq!(rotated(&["web.log", "other.log.1"], 1), "other.log.1=other.log.1 .1=");
}

#[test]
fn a_missing_number_is_filled_and_nothing_falls_off() {
    let gap = ["web.log", "web.log.1", "web.log.3", "web.log.4"];
    assert_eq!(rotated(&gap, 4), ".1= .2=.1 .3=.3 .4=.4");
    assert_eq!(rotated(&["web.log", "web.log.2"], 4), ".1= .2=.2");
}

#[test]
fn backups_for_ever_never_meet() {
    let (folder, dir) = with_files(&["web.log"]);
    for (text, millis) in [("web.log", 59_999), ("next", 59_999), ("clock was put back", 5)] {
        fs::write(folder.0.join("web.log"), text).unwrap();
        rotate(dir.as_fd(), &folder.0, "web", 0, millis).unwrap();
    }
    let later = folder.0.join("web.log.20991231T235959.999.gz");
    fs::write(&later, "later").unwrap();
    fs::write(folder.0.join("web.log"), "last").unwrap();
    rotate(dir.as_fd(), &folder.0, "web", 0, 70_000).unwrap();
    fs::remove_file(later).unwrap();
    assert_eq!(
        state(&folder),
        ".19700101T000059.999= .19700101T000060.000=next \
         .19700101T000060.001=clock was put back .20991231T235960.000=last"
    );
}

#[test]
fn parts_are_known_by_their_names() {
    let numbered = |number, is_zipped| Some(Part::Numbered { number, is_zipped });
    for (name, expected) in [
        ("web.log.1", numbered(1, false)),
        ("web.log.10.gz", numbered(10, true)),
        ("web.log.20261121T100506.123", Some(Part::Timed { is_zipped: false })),
        ("web.log.20261121T100506.123.gz", Some(Part::Timed { is_zipped: true })),
        (".web.log.gz-new", Some(Part::Temporary)),
        ("web.log", None),
        ("web.log.0", None),
        ("web.log.01", None),
        ("web.log.+1", None),
        ("web.log.1.gz.gz", None),
        ("web.log.1.log", None),
        ("web.log.20261121T100506x123", None),
        ("web.log.", None),
        ("web.log.notes", None),
        ("web2.log.1", None),
        ("xweb.log.1", None),
    ] {
        assert_eq!(part("web", name), expected, "{name}");
    }
}

#[test]
fn all_but_the_newest_are_compressed_and_the_oldest_first() {
    let next = |names: &[&str], keep| {
        let (folder, dir) = with_files(names);
        let name = uncompressed(dir.as_fd(), &folder.0, "web", keep).unwrap();
        (name.unwrap_or_default(), state(&folder))
    };
    assert_eq!(next(&["web.log", "web.log.1"], 4).0, "");
    assert_eq!(next(&["web.log.1", "web.log.2", "web.log.3", "web.log.10"], 20).0, "web.log.10");
    let times = ["web.log.20261121T100506.123", "web.log.20261121T100507.000"];
    assert_eq!(next(&times, 0).0, times[0]);
    assert_eq!(next(&times[1..], 0).0, "");
}

/// What gzip(1) would make of it, as far as that matters: the length is at the end.
fn zip(folder: &Folder, name: &str, length: u32, modified: SystemTime) {
    let mut zipped = File::create(folder.0.join(name)).unwrap();
    zipped.write_all(b"zzzz").unwrap();
    zipped.write_all(&length.to_le_bytes()).unwrap();
    zipped.set_modified(modified).unwrap();
}

/// Somebody was killed between the two; or it is the backup of another program.
#[test]
fn a_backup_that_was_compressed_is_removed_and_no_other_one() {
    for (length, age, is_removed) in [(9, 0, true), (10, 0, false), (9, 1, false)] {
        let (folder, dir) = with_files(&["web.log.2", "web.log.3"]);
        let stat = fs::metadata(folder.0.join("web.log.3")).unwrap();
        let modified = stat.modified().unwrap() - Duration::from_secs(age);
        zip(&folder, "web.log.3.gz", length, modified);
        let name = uncompressed(dir.as_fd(), &folder.0, "web", 4).unwrap();
        assert_eq!(name.unwrap(), "web.log.2");
        assert_eq!(folder.0.join("web.log.3").exists(), !is_removed, "{length} {age}");
        assert!(folder.0.join("web.log.3.gz").exists());
    }
}

#[test]
fn only_backups_are_removed() {
    let (folder, dir) = with_files(&["web.log", "web.log.1", "web.log.2.gz", "web.log.notes"]);
    remove_backups(dir.as_fd(), &folder.0, "web").unwrap();
    assert_eq!(state(&folder), "= .notes=.notes");
}
