//! How much a service may take, and before whom.

use std::fs;
use std::os::unix::fs::symlink;

use super::service::{USER, telling, told};
use crate::common::{Place, has, has_root, run, stat, status, wait_comm, wait_until};

/// The keys, each with the line of /proc/PID/limits that it sets.
const LIMITS: [(&str, &str, &str, u64, u64); 16] = [
    ("as", "900M:1G", "Max address space", 900 << 20, 1 << 30),
    ("core", "0", "Max core file size", 0, 0),
    ("cpu", "600:900", "Max cpu time", 600, 900),
    ("data", "800M", "Max data size", 800 << 20, 800 << 20),
    ("fsize", "1G:2G", "Max file size", 1 << 30, 2 << 30),
    ("locks", "10:20", "Max file locks", 10, 20),
    ("memlock", "4K", "Max locked memory", 4096, 4096),
    ("msgqueue", "1000:2000", "Max msgqueue size", 1000, 2000),
    ("nice", "0", "Max nice priority", 0, 0),
    ("nofile", "20:40", "Max open files", 20, 40),
    ("nproc", "50:100", "Max processes", 50, 100),
    ("rss", "1G", "Max resident set", 1 << 30, 1 << 30),
    ("rtprio", "0", "Max realtime priority", 0, 0),
    ("rttime", "1000:2000", "Max realtime timeout", 1000, 2000),
    ("sigpending", "10:20", "Max pending signals", 10, 20),
    ("stack", "1M:2M", "Max stack size", 1 << 20, 2 << 20),
];

#[test]
fn every_limit_is_set() {
    let place = Place::new();
    let keys = LIMITS.map(|(name, value, ..)| format!("limit-{name}={value}\n")).concat();
    place.service("a", &format!("cmd=sleep 1000\n{keys}"));
    place.service("b", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let [a, b] = going.wait_all_started(["a", "b"]);
    [a, b].iter().for_each(|pid| wait_comm(*pid, "sleep"));
    let limits = fs::read_to_string(format!("/proc/{a}/limits")).unwrap();
    for (name, _, row, soft, hard) in LIMITS {
        let line = limits.lines().find_map(|line| line.strip_prefix(row)).expect(row);
        let values: Vec<_> = line.split_whitespace().take(2).collect();
        assert_eq!(values, [soft.to_string(), hard.to_string()], "limit-{name}");
    }
    let of = |pid: i32| fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    assert_eq!(of(b), of(going.pid), "without a key nothing changes");
    going.stop();
}

#[test]
fn who_comes_first_is_set() {
    let place = Place::new();
    let keys = "nice=7\noom-score-adj=345\ncpu-affinity=0,1022-1023\nsched=batch\n";
    place.service("a", &format!("cmd=sleep 1000\n{keys}ionice=best-effort:7\n"));
    place.service("b", "cmd=sleep 1000\nsched=idle\nionice=idle\n");
    let mut going = place.start(&[]);
    let [a, b] = going.wait_all_started(["a", "b"]);
    [a, b].iter().for_each(|pid| wait_comm(*pid, "sleep"));
    // Fields 19 and 41 of proc_pid_stat(5); the list begins with field 3.
    let field = |pid, number: usize| stat(pid).unwrap()[number - 3].clone();
    assert_eq!((field(a, 19), field(a, 41)), ("7".into(), "3".into()));
    assert_eq!(field(b, 41), "5");
    let score = fs::read_to_string(format!("/proc/{a}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "345");
    assert_eq!(status(a, "Cpus_allowed_list"), "0");
    if has("ionice") {
        let class = |pid: i32| run(&["ionice", "-p", &pid.to_string()]).stdout;
        assert_eq!(String::from_utf8_lossy(&class(a)).trim(), "best-effort: prio 7");
        assert_eq!(String::from_utf8_lossy(&class(b)).trim(), "idle");
    }
    going.stop();
}

#[test]
fn real_time_is_set() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\nsched=fifo:3\nnice=-4\nionice=realtime:2\n");
    place.service("b", "cmd=sleep 1000\nsched=rr:1\n");
    let mut going = place.start(&[]);
    let [a, b] = going.wait_all_started(["a", "b"]);
    [a, b].iter().for_each(|pid| wait_comm(*pid, "sleep"));
    // Fields 40 and 41: real-time priority and policy.
    let field = |pid, number: usize| stat(pid).unwrap()[number - 3].clone();
    assert_eq!((field(a, 40), field(a, 41)), ("3".into(), "1".into()));
    assert_eq!((field(b, 40), field(b, 41)), ("1".into(), "2".into()));
    going.stop();
}

/// No more descriptors than that are free, and many numbers are taken by those of
/// going itself; the file is one that the user has to open.
#[test]
fn few_descriptors_are_enough_to_start() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.make_dir("theirs");
    symlink("out", place.path("theirs/link")).unwrap();
    run(&["chown", "-hR", "54395:54395", &place.path("theirs")]);
    let keys = format!("{USER}limit-nofile=3\ncwd=/tmp\nprivate=tmp net\nread-only=/\n");
    let text = format!("cmd=/usr/bin/env -i\nstdout=file:{}\n", place.path("theirs/link"));
    place.service("a", &format!("{text}{keys}type=oneshot\nstrikes=1\n"));
    for number in 0..20 {
        place.service(&format!("other{number}"), "cmd=sleep 1000\nstdout=log\n");
    }
    let mut going = place.start(&[]);
    // The program itself may need more than three; it was executed.
    going.wait_for("a*terminated after*");
    assert_eq!(going.count("Can't*"), 0);
    assert!(fs::exists(place.path("theirs/out")).unwrap());
    going.stop();
}

#[test]
fn what_is_refused_is_told_by_name() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\nlimit-nofile=10:unlimited\n");
    place.service("b", "cmd=sleep 1000\n\ncpu-affinity=1000-1020\n");
    let mut going = place.start(&[]);
    for line in [
        "Can't set limit-nofile to 10:unlimited: Operation not permitted (a: limit-nofile, line 2)",
        "Can't set cpu-affinity to 1000-1020: Invalid argument (b: cpu-affinity, line 3)",
    ] {
        wait_until(line, || going.count(line) > 0);
    }
    assert_eq!(going.count("a: started*") + going.count("b: started*"), 0);
    going.stop();
}

/// It really is what the kernel goes by.
#[test]
fn a_limit_bites() {
    let place = Place::new();
    let file = place.path("file");
    let script = format!("head -c 4096 /dev/zero >{file}; wc -c <{file}");
    place.service("a", &telling(&place, "a", &script, "limit-fsize=1K:2K\n"));
    let mut going = place.start(&[]);
    going.wait_started("a");
    assert!(told(&place, "a").ends_with("1024\n"));
    going.stop();
}
