//! What going-log may need. Only the static release build has a budget.

use std::fs;
use std::io::Write;
use std::thread;

use super::bench::{Logger, Pipe, Place, program, wait_until, with};

/// In kB: that of going itself, with fifty services.
const PEAK_MAX: u64 = 1024;

fn has_static_build() -> bool {
    let is_loaded = |it: &[u8]| it.windows(9).any(|it| it == b"/ld-linux" || it == b"/ld-musl-");
    if std::env::var_os("GOING_BIN").is_some() && !is_loaded(&fs::read(program()).unwrap()) {
        return true;
    }
    eprintln!("skipped: needs GOING_BIN to be the static release build");
    assert!(std::env::var_os("CI").is_none(), "nothing may be skipped in CI");
    false
}

fn status(logger: &Logger, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", logger.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn fifty_streams_fit_into_a_megabyte_whatever_they_write() {
    if !has_static_build() {
        return;
    }
    let place = Place::new();
    let logger = place.start();
    let mut pipes: Vec<_> = (0..50).map(|_| Pipe::new()).collect();
    for (pipe, number) in pipes.iter().zip(0..) {
        let name = format!("name=web{number}");
        let keys = [&*name, "timestamps=utc", "size=300000", "keep=3", "compress=yes"];
        assert!(logger.take(pipe, &with(&keys)));
    }
    let mut peaks = Vec::new();
    for _ in 0..2 {
        let threads: Vec<_> = pipes
            .iter_mut()
            .map(|pipe| {
                let mut write = pipe.write.take().unwrap();
                thread::spawn(move || {
                    let text = format!("{}\n", "x".repeat(99)).repeat(100);
                    (0..100).for_each(|_| write.write_all(text.as_bytes()).unwrap());
                    write
                })
            })
            .collect();
        for (pipe, thread) in pipes.iter_mut().zip(threads) {
            pipe.write = Some(thread.join().unwrap());
        }
        peaks.push(status(&logger, "VmPeak"));
    }
    assert!(peaks[0] <= PEAK_MAX, "{peaks:?} kB");
    assert_eq!(peaks[0], peaks[1], "it grows with what is written");
    logger.stop();
}

#[test]
fn silence_costs_nothing() {
    let (place, pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&["timestamps=utc"]));
    pipe.write("text\n");
    wait_until("the line", || place.read("web.log").ends_with("text\n"));
    let switches = || status(&logger, "voluntary_ctxt_switches");
    // Until it has gone to sleep again.
    let mut last = switches();
    wait_until("silence", || {
        thread::sleep(std::time::Duration::from_millis(50));
        std::mem::replace(&mut last, switches()) == last
    });
    thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(switches(), last, "it woke up for nothing");
}
