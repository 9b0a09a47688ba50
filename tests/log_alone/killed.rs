//! going-log is killed at any moment, again and again, while output comes in as
//! fast as it can: every line must be there once, whole, and in order.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::bench::{Dice, Logger, Pipe, Place, with};

/// How often it is killed in each of the tests.
fn kills() -> u32 {
    std::env::var("KILLS").map_or(150, |it| it.parse().unwrap())
}

/// How a service writes.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Lines,
    Bytes,
    Blocks,
    Huge,
}

/// Writes numbered lines until told to stop; how many it wrote.
fn chatter(pipe: &mut Pipe, manner: Manner, stop: &Arc<AtomicBool>) -> thread::JoinHandle<u64> {
    let (mut write, stop) = (pipe.write.take().unwrap(), Arc::clone(stop));
    thread::spawn(move || {
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            let mut text = String::new();
            for _ in 0..if manner == Manner::Blocks { 200 } else { 1 } {
                let length = match manner {
                    Manner::Huge => 60_000 + usize::try_from(number % 5).unwrap() * 20_000,
                    Manner::Lines | Manner::Bytes | Manner::Blocks => {
                        usize::try_from(number % 90).unwrap()
                    }
                };
                text += &format!("{number} {}\n", "x".repeat(length));
                number += 1;
            }
            if manner == Manner::Bytes {
                for byte in text.as_bytes() {
                    write.write_all(&[*byte]).unwrap();
                }
            } else {
                write.write_all(text.as_bytes()).unwrap();
            }
        }
        number
    })
}

/// All of a log, the oldest backup first.
fn whole(place: &Place, name: &str) -> Vec<u8> {
    let mut names: Vec<(u32, String)> = Vec::new();
    for file in place.names() {
        let Some(rest) = file.strip_prefix(name) else { continue };
        if rest.is_empty() {
            names.push((0, file));
        } else if let Ok(number) = rest[1..].parse() {
            names.push((number, file));
        }
    }
    names.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    names.iter().flat_map(|(_, file)| fs::read(place.log(file)).unwrap()).collect()
}

/// The numbers at the beginnings of lines; a line that is torn has no number, or
/// not the right length.
fn check(text: &[u8], count: u64, is_stamped: bool, manner: Manner) {
    let text = String::from_utf8(text.to_vec()).expect("UTF-8");
    assert!(text.ends_with('\n') || text.is_empty());
    let mut expected = 0;
    let mut open = String::new();
    for line in text.lines() {
        let line = if is_stamped {
            let (stamp, line) =
                line.split_at_checked(25).unwrap_or_else(|| panic!("torn: {line:?}"));
            assert!(stamp.ends_with("Z ") && stamp.starts_with("20"), "torn: {line:?}");
            line
        } else {
            line
        };
        if let Some(part) = line.strip_suffix('\\') {
            assert_eq!(part.len(), 65_536, "cut at another place");
            open += part;
            continue;
        }
        open += line;
        let line = std::mem::take(&mut open);
        let (number, rest) = line.split_once(' ').unwrap_or_else(|| panic!("torn: {line:?}"));
        let number: u64 = number.parse().unwrap_or_else(|_| panic!("torn: {number:?}"));
        assert_eq!(number, expected, "after {} of {count}", expected);
        let length = match manner {
            Manner::Huge => 60_000 + number % 5 * 20_000,
            Manner::Lines | Manner::Bytes | Manner::Blocks => number % 90,
        };
        assert_eq!(rest.len(), usize::try_from(length).unwrap(), "line {number} is torn");
        assert!(rest.bytes().all(|byte| byte == b'x'), "line {number} is mixed up");
        expected += 1;
    }
    assert_eq!(expected, count, "lines are missing at the end");
}

/// Kills it all the time. `meddle` does more to it, each time round.
fn torment(
    settings: &[&str],
    manner: Manner,
    streams: usize,
    mut meddle: impl FnMut(&Place, &Logger, u32),
) {
    let (place, mut dice) = (Place::new(), Dice::new());
    let names = ["web", "db", "mail", "cron"];
    let mut pipes: Vec<_> = (0..streams).map(|_| Pipe::new()).collect();
    let all: Vec<String> = (0..streams)
        .map(|it| {
            let name = format!("name={}", names[it]);
            with(&[settings, &[name.as_str()]].concat())
        })
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = pipes.iter_mut().map(|it| chatter(it, manner, &stop)).collect();
    for round in 0..kills() {
        let logger = place.start();
        for (pipe, settings) in pipes.iter().zip(&all) {
            logger.take(pipe, settings);
        }
        meddle(&place, &logger, round);
        // The moment is the point, so it is any.
        thread::sleep(Duration::from_micros(dice.roll(4000)));
        logger.kill();
    }
    stop.store(true, Ordering::Relaxed);
    let logger = place.start();
    for (pipe, settings) in pipes.iter().zip(&all) {
        assert!(logger.take(pipe, settings));
    }
    let counts: Vec<u64> = writers.into_iter().map(|it| it.join().unwrap()).collect();
    let mut left = streams;
    while left > 0 {
        logger.wait_for("done");
        left -= 1;
    }
    logger.stop();
    let is_stamped = settings.contains(&"timestamps=utc");
    for (name, count) in names.into_iter().zip(counts) {
        check(&whole(&place, &format!("{name}.log")), count, is_stamped, manner);
        assert!(count > 100, "only {count} lines of {name}");
    }
}

fn in_peace(_: &Place, _: &Logger, _: u32) {}

#[test]
fn lines_survive_every_death() {
    torment(&[], Manner::Lines, 1, in_peace);
}

#[test]
fn stamped_lines_survive_every_death() {
    torment(&["timestamps=utc"], Manner::Lines, 1, in_peace);
}

#[test]
fn blocks_of_lines_survive_every_death() {
    torment(&["timestamps=utc"], Manner::Blocks, 2, in_peace);
}

#[test]
fn single_bytes_survive_every_death() {
    torment(&["timestamps=utc"], Manner::Bytes, 1, in_peace);
}

#[test]
fn huge_lines_survive_every_death() {
    torment(&["timestamps=utc"], Manner::Huge, 1, in_peace);
}

#[test]
fn many_streams_survive_every_death() {
    torment(&["timestamps=utc"], Manner::Lines, 4, in_peace);
}

#[test]
fn rotated_lines_survive_every_death() {
    torment(&["size=500000", "keep=1000", "timestamps=utc"], Manner::Blocks, 1, in_peace);
}

#[test]
fn rotated_bytes_survive_every_death() {
    torment(&["size=16384", "keep=10000"], Manner::Bytes, 1, in_peace);
}

#[test]
fn lines_survive_a_rotation_by_others_and_every_death() {
    for manner in [Manner::Lines, Manner::Bytes] {
        let mut moved = Vec::new();
        torment(&[], manner, 1, |place, logger, round| {
            if round % 3 == 0 && place.log("web.log").exists() {
                // The way of logrotate: the numbers count up here.
                let number = 100_000 - moved.len();
                let name = format!("web.log.{number}");
                fs::rename(place.log("web.log"), place.log(&name)).unwrap();
                moved.push(name);
                logger.send("do=reopen\n\n", &[]);
            }
        });
        let many = usize::try_from(kills() / 10).unwrap();
        assert!(moved.len() > many, "moved {} times", moved.len());
    }
}

#[test]
fn what_was_read_is_written_before_anybody_asks() {
    let (place, mut dice) = (Place::new(), Dice::new());
    for round in 0..kills() {
        let mut pipe = Pipe::new();
        let logger = place.start();
        logger.take(&pipe, &with(&[]));
        pipe.write(format!("{round} one\n{round} two\n"));
        pipe.close();
        thread::sleep(Duration::from_micros(dice.roll(800)));
        logger.kill();
        // The pipe is lost with us: what the journal holds must suffice, or the
        // pipe still has all of it.
        let logger = place.start();
        let text = place.read("web.log");
        let is_written = text.ends_with(&format!("{round} one\n{round} two\n"));
        logger.take(&pipe, &with(&[]));
        logger.wait_done(&pipe);
        let text_now = place.read("web.log");
        assert!(text_now.ends_with(&format!("{round} one\n{round} two\n")));
        assert_eq!(text_now.matches(&format!("{round} one\n")).count(), 1, "{is_written}");
        logger.stop();
        fs::write(place.log("web.log"), "").unwrap();
    }
}
