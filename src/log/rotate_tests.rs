//! Backups in order, whatever was left by those who were killed.

use std::fs::{self, File};
use std::os::fd::AsFd;

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
    rotate(dir.as_fd(), "web", keep, 0).unwrap();
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
    rotate(dir.as_fd(), "web", 0, 1000).unwrap();
    fs::write(folder.0.join("web.log"), "next").unwrap();
    rotate(dir.as_fd(), "web", 0, 1000).unwrap();
    assert_eq!(state(&folder), ".19700101T000001.000= .19700101T000001.001=next");
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
    let (name, left) = next(&["web.log.2", "web.log.3", "web.log.3.gz"], 4);
    assert_eq!((&*name, &*left), ("web.log.2", ".2=.2 .3.gz=.3.gz"));
    let times = ["web.log.20261121T100506.123", "web.log.20261121T100507.000"];
    assert_eq!(next(&times, 0).0, times[0]);
    assert_eq!(next(&times[1..], 0).0, "");
}

#[test]
fn only_backups_are_removed() {
    let (folder, dir) = with_files(&["web.log", "web.log.1", "web.log.2.gz", "web.log.notes"]);
    remove_backups(dir.as_fd(), &folder.0, "web").unwrap();
    assert_eq!(state(&folder), "= .notes=.notes");
}
