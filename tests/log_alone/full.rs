//! Disks that are full or cannot be written: nobody waits who does not want to,
//! nothing is doubled or torn, and what is missing is told to the line.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use super::bench::{Logger, Pipe, Place, program, wait_until, with};

/// Runs going-log with its logs on a disk of that size, if that can be had.
fn on_small_disk(place: &Place, size: &str) -> Option<(Logger, PathBuf)> {
    mounted(place, &format!("mount -t tmpfs -o size={size} tmpfs \"$0\""))
}

/// Runs going-log where its directory is mounted like that, if it can be.
fn mounted(place: &Place, mount: &str) -> Option<(Logger, PathBuf)> {
    let script = format!("{mount} && exec \"$1\" -l \"$0\" --socket \"$2\" --journal \"$3\"");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script]);
    command.arg(place.log_dir()).arg(program());
    command.arg(place.dir.join("socket")).arg(place.dir.join("journal"));
    let has_rights = Command::new("unshare").args(["-m", "true"]).status();
    if !has_rights.is_ok_and(|status| status.success()) {
        eprintln!("skipped: needs root and unshare");
        assert!(std::env::var_os("CI").is_none(), "nothing may be skipped in CI");
        return None;
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let logger = place.meet(child);
    let dir = format!("/proc/{}/root{}", logger.pid(), place.log_dir().display());
    Some((logger, PathBuf::from(dir)))
}

/// The numbers of all lines, which must be whole, and how many are told to be
/// missing before each; the bytes of those, too.
fn numbers(text: &str) -> Vec<Result<u64, (u64, u64)>> {
    assert!(text.ends_with('\n'), "{:?}", &text[text.len().saturating_sub(200)..]);
    let number = |line: &str| {
        let line = &line[25..];
        if let Some(told) = line.strip_prefix("--- ") {
            let words: Vec<_> = told.split(['(', ' ']).collect();
            assert!(told.ends_with("No space left on device"), "{told}");
            return Err((words[0].parse().unwrap(), words[3].parse().unwrap()));
        }
        assert_eq!(line.len(), 60, "torn: {line:?}");
        Ok(line.trim_start_matches('x').parse().unwrap())
    };
    text.lines().map(number).collect()
}

fn line(number: u64) -> String {
    format!("{number:x>60}\n")
}

/// No line may be missing that is not told, or be there that is.
#[track_caller]
fn check(text: &str, count: u64) -> u64 {
    let (mut expected, mut lost) = (0, 0);
    for number in numbers(text) {
        match number {
            Ok(number) => {
                assert_eq!(number, expected, "after a loss of {lost}");
                expected += 1;
            }
            Err((lines, bytes)) => {
                assert_eq!(bytes, lines * 61);
                expected += lines;
                lost += lines;
            }
        }
    }
    assert_eq!(expected, count);
    lost
}

#[test]
fn what_a_full_disk_does_not_take_is_counted() {
    let place = Place::new();
    let Some((logger, dir)) = on_small_disk(&place, "256k") else { return };
    let mut pipe = Pipe::new();
    fs::write(dir.join("filler"), vec![0; 100_000]).unwrap();
    assert!(logger.take(&pipe, &with(&["timestamps=utc"])));
    for number in 0..5000 {
        // Nobody waits: this is more than fits on the disk and into the pipe.
        pipe.write(line(number));
    }
    let report = logger.wait_for("report");
    assert_eq!(report, "web.log cannot be written: No space left on device");
    fs::remove_file(dir.join("filler")).unwrap();
    let read = || fs::read_to_string(dir.join("web.log")).unwrap();
    wait_until("the count", || read().contains(" --- "));
    for number in 5000..5100 {
        pipe.write(line(number));
    }
    pipe.close();
    logger.wait_done(&pipe);
    let lost = check(&read(), 5100);
    assert!((1000..5000).contains(&lost), "{lost}");
    logger.stop();
}

#[test]
fn a_disk_that_fills_again_and_again_is_told_each_time() {
    let place = Place::new();
    let Some((logger, dir)) = on_small_disk(&place, "128k") else { return };
    let mut pipe = Pipe::new();
    assert!(logger.take(&pipe, &with(&["timestamps=utc", "size=20000", "keep=2"])));
    let mut number = 0;
    for _ in 0..3 {
        for _ in 0..100 {
            pipe.write(line(number));
            number += 1;
        }
        fs::write(dir.join("filler"), vec![0; 300_000]).unwrap_err();
        for _ in 0..2000 {
            pipe.write(line(number));
            number += 1;
        }
        while !logger.wait_for("report").contains("cannot be") {}
        fs::remove_file(dir.join("filler")).unwrap();
        while !logger.wait_for("report").contains("written again") {}
    }
    pipe.close();
    logger.wait_done(&pipe);
    let mut text = String::new();
    for name in ["web.log.2", "web.log.1", "web.log"] {
        text += &fs::read_to_string(dir.join(name)).unwrap_or_default();
    }
    let numbers = numbers(&text);
    let whole: Vec<u64> = numbers.iter().flatten().copied().collect();
    assert!(whole.is_sorted() && whole.windows(2).all(|pair| pair[0] < pair[1]));
    logger.stop();
}

#[test]
fn who_wants_to_wait_loses_nothing() {
    let place = Place::new();
    let Some((logger, dir)) = on_small_disk(&place, "8m") else { return };
    let mut pipe = Pipe::new();
    fs::write(dir.join("filler"), vec![0; 8_250_000]).unwrap();
    assert!(logger.take(&pipe, &with(&["timestamps=utc", "full=block"])));
    let mut other = Pipe::new();
    assert!(logger.take(&other, &with(&["name=db", "to=syslog"])));
    let mut write = pipe.write.take().unwrap();
    let writer = thread::spawn(move || {
        use std::io::Write;
        (0..30_000).for_each(|number| write.write_all(line(number).as_bytes()).unwrap());
    });
    logger.wait_for("report");
    // Others are served meanwhile.
    other.close();
    logger.wait_done(&other);
    assert!(!writer.is_finished());
    fs::remove_file(dir.join("filler")).unwrap();
    logger.wait_done(&pipe);
    writer.join().unwrap();
    assert_eq!(check(&fs::read_to_string(dir.join("web.log")).unwrap(), 30_000), 0);
    logger.stop();
}

/// A process that is killed at the end.
struct Foot(std::process::Child);

impl Drop for Foot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_death_on_a_full_disk_is_survived() {
    let place = Place::new();
    let Some((mut logger, dir)) = on_small_disk(&place, "64k") else { return };
    let mut pipe = Pipe::new();
    // Somebody else in the same namespace, or the disk would go with the first.
    let first = logger.pid().to_string();
    let words = ["-m", "-t", &first, "sleep", "100"];
    let mut other = Command::new("nsenter");
    other.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    let other = Foot(other.spawn().expect("nsenter, of util-linux as unshare is"));
    let pid = other.0.id().to_string();
    wait_until("a foot in the door", || {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        of(&pid) == of(&first)
    });
    let dir = PathBuf::from(dir.display().to_string().replace(&first, &pid));
    let settings = with(&["timestamps=utc", "full=block"]);
    assert!(logger.take(&pipe, &settings));
    let mut write = pipe.write.take().unwrap();
    let writer = thread::spawn(move || {
        use std::io::Write;
        (0..3000).for_each(|number| write.write_all(line(number).as_bytes()).unwrap());
    });
    let mut deaths = 0;
    loop {
        let message = logger.next();
        if message.get("done").is_some() {
            break;
        }
        assert_eq!(message.get("level"), Some("error"), "{message:?}");
        logger.kill();
        deaths += 1;
        let larger = format!("remount,size={}k", 64 + 64 * deaths);
        let mut mount = Command::new("nsenter");
        mount.args(["-m", "-t", &pid, "mount", "-o", &larger]).arg(place.log_dir());
        assert!(mount.status().unwrap().success());
        let mut command = Command::new("nsenter");
        command.args(["-m", "-t", &pid]).arg(program()).arg("-l").arg(place.log_dir());
        command.arg("--socket").arg(place.dir.join("socket"));
        command.arg("--journal").arg(place.dir.join("journal"));
        logger = place.meet(command.stdout(Stdio::null()).spawn().unwrap());
        assert!(logger.take(&pipe, &settings));
    }
    writer.join().unwrap();
    assert_eq!(check(&fs::read_to_string(dir.join("web.log")).unwrap(), 3000), 0);
    assert!(deaths > 2);
    logger.stop();
}

#[test]
fn what_a_read_only_disk_does_not_take_is_counted() {
    let place = Place::new();
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\"";
    let Some((logger, _)) = mounted(&place, mount) else { return };
    let mut pipe = Pipe::new();
    assert!(logger.take(&pipe, &with(&["timestamps=utc"])));
    pipe.write("lost\nlost, too\n");
    assert_eq!(logger.wait_for("report"), "web.log cannot be written: Read-only file system");
    assert!(place.names().is_empty());
    let mut remount = Command::new("nsenter");
    remount.args(["-t", &logger.pid().to_string(), "-m", "mount", "-o", "remount,rw,bind"]);
    assert!(remount.arg(place.log_dir()).status().unwrap().success());
    // Told by itself, without another line that had to come first.
    assert_eq!(logger.wait_for("report"), "web.log is written again");
    pipe.write("there\n");
    pipe.close();
    logger.wait_done(&pipe);
    let text = place.read("web.log");
    let lines: Vec<_> = text.lines().map(|line| &line[25..]).collect();
    let told = "--- 2 lines (15 bytes) were not written: Read-only file system";
    assert_eq!(lines, [told, "there"]);
    logger.stop();
}
