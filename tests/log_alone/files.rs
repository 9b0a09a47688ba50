//! Rotation, compression, and logs that cannot be written.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::bench::{Pipe, Place, wait_until, with};

/// Lines of a hundred bytes, by their numbers.
fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("{number:099}\n")).collect()
}

fn unzipped(place: &Place, name: &str) -> String {
    let file = fs::File::open(place.log(name)).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn logs_are_rotated_where_a_line_begins() {
    let (place, mut pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&["size=1050", "keep=3"]));
    pipe.write(lines(0..55));
    pipe.close();
    logger.wait_done(&pipe);
    assert_eq!(place.names(), ["web.log", "web.log.1", "web.log.2", "web.log.3"]);
    assert_eq!(place.read("web.log"), lines(50..55));
    assert_eq!(place.read("web.log.1"), lines(40..50));
    assert_eq!(place.read("web.log.3"), lines(20..30));
    assert_eq!(fs::metadata(place.log("web.log")).unwrap().mode() & 0o137, 0);
}

#[test]
fn fewer_backups_are_kept_when_fewer_are_wanted() {
    let (place, pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&["size=1000", "keep=5"]));
    pipe.write(lines(0..61));
    wait_until("five backups", || place.names().len() == 6);
    logger.set(&pipe, &with(&["size=1000", "keep=2"]));
    pipe.write(lines(61..71));
    wait_until("two backups", || place.names() == ["web.log", "web.log.1", "web.log.2"]);
}

#[test]
fn old_backups_are_compressed() {
    let (place, mut pipe) = (Place::new(), Pipe::new());
    // Left by one who was killed.
    fs::write(place.log(".web.log.gz-new"), "half").unwrap();
    let logger = place.start();
    logger.take(&pipe, &with(&["size=1000", "keep=4", "compress=yes"]));
    pipe.write(lines(0..65));
    let names = ["web.log", "web.log.1", "web.log.2.gz", "web.log.3.gz", "web.log.4.gz"];
    wait_until("compression", || place.names() == names);
    assert_eq!(unzipped(&place, "web.log.4.gz"), lines(20..30));
    assert_eq!(unzipped(&place, "web.log.2.gz"), lines(40..50));
    pipe.write(lines(65..71));
    pipe.close();
    logger.wait_done(&pipe);
    wait_until("compression", || place.names() == names);
    wait_until("the newest", || unzipped(&place, "web.log.2.gz") == lines(50..60));
    logger.stop();
}

/// Others rotate: `web.log.2` is logrotate's, and so is `web.log.2.gz`.
#[test]
fn backups_of_others_are_left_alone() {
    let (place, mut pipe) = (Place::new(), Pipe::new());
    let names = ["web.log.1", "web.log.2", "web.log.2.gz", "web.log.3", "web.log.9.gz"];
    names.iter().for_each(|name| fs::write(place.log(name), *name).unwrap());
    let logger = place.start();
    logger.take(&pipe, &with(&["size=0", "keep=2", "compress=yes"]));
    let mut other = Pipe::new();
    logger.take(&other, &with(&["name=other", "size=1000", "keep=4", "compress=yes"]));
    pipe.write(lines(0..100));
    pipe.close();
    other.write(lines(0..35));
    other.close();
    logger.wait_done(&other);
    // By then it would have been its turn.
    wait_until("compression", || place.log("other.log.3.gz").exists());
    assert_eq!(place.read("web.log"), lines(0..100));
    names.iter().for_each(|name| assert_eq!(place.read(name), *name));
}

#[test]
fn what_is_compressed_has_the_age_and_the_rights_of_before() {
    let (place, pipe) = (Place::new(), Pipe::new());
    for name in ["web.log.1", "web.log.2"] {
        fs::write(place.log(name), lines(0..9)).unwrap();
        fs::set_permissions(place.log(name), fs::Permissions::from_mode(0o6644)).unwrap();
    }
    let before = fs::metadata(place.log("web.log.2")).unwrap();
    let logger = place.start();
    logger.take(&pipe, &with(&["size=1000", "keep=4", "compress=yes"]));
    wait_until("compression", || place.names() == ["web.log.1", "web.log.2.gz"]);
    let after = fs::metadata(place.log("web.log.2.gz")).unwrap();
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert_eq!(after.mode() & 0o7777, 0o644, "{:o}", after.mode());
    logger.stop();
}

#[test]
fn another_directory_is_noticed_when_a_log_is_rotated() {
    let (place, mut pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&["size=1000", "keep=4"]));
    pipe.write(lines(0..5));
    wait_until("a log", || place.read("web.log").len() == 500);
    let (old, new) = (place.dir.join("old"), place.dir.join("new"));
    fs::rename(place.log_dir(), &old).unwrap();
    fs::create_dir(&new).unwrap();
    symlink(&new, place.log_dir()).unwrap();
    pipe.write(lines(5..15));
    pipe.close();
    logger.wait_done(&pipe);
    assert_eq!(fs::read_to_string(old.join("web.log")).unwrap(), lines(0..10));
    assert_eq!(place.names(), ["web.log"]);
    assert_eq!(place.read("web.log"), lines(10..15));
}

#[test]
fn backups_kept_for_ever_have_a_time() {
    let (place, mut pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&["size=1000", "keep=0", "compress=yes"]));
    pipe.write(lines(0..45));
    pipe.close();
    logger.wait_done(&pipe);
    let zipped = |names: &[String]| names.iter().filter(|name| name.ends_with(".gz")).count();
    wait_until("compression", || place.names().len() == 5 && zipped(&place.names()) == 3);
    let names = place.names();
    assert_eq!(unzipped(&place, &names[1]), lines(0..10));
    assert_eq!(place.read(&names[4]), lines(30..40));
    assert_eq!(place.read("web.log"), lines(40..45));
}

#[test]
fn a_cleared_log_is_empty_and_has_no_backups() {
    let (place, pipe, other) = (Place::new(), Pipe::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&["size=1000"]));
    logger.take(&other, &with(&["stream=stderr"]));
    fs::write(place.log("web.log.notes"), "mine").unwrap();
    pipe.write(lines(0..25));
    other.write("bad\n");
    assert!(logger.send("do=clear\nname=web\n\n", &[]));
    assert_eq!(logger.wait_for("did"), "clear");
    assert_eq!(place.names(), ["web+stderr.log", "web.log", "web.log.notes"]);
    assert_eq!(place.read("web.log") + &place.read("web+stderr.log"), "");
    pipe.write("new\n");
    place.wait_log("web.log", "new\n");
}

#[test]
fn what_is_no_plain_file_is_not_written() {
    let (place, pipe) = (Place::new(), Pipe::new());
    let victim = place.dir.join("victim");
    fs::write(&victim, "safe\n").unwrap();
    let make: [&dyn Fn(); 4] = [
        &|| symlink(&victim, place.log("web.log")).unwrap(),
        &|| fs::hard_link(&victim, place.log("web.log")).unwrap(),
        &|| fs::create_dir(place.log("web.log")).unwrap(),
        &|| nix::unistd::mkfifo(&place.log("web.log"), nix::sys::stat::Mode::S_IRWXU).unwrap(),
    ];
    let logger = place.start();
    logger.take(&pipe, &with(&["timestamps=utc"]));
    for (make, number) in make.iter().zip(0..) {
        let _ = fs::remove_file(place.log("web.log"));
        let _ = fs::remove_dir(place.log("web.log"));
        make();
        logger.send("do=reopen\n\n", &[]);
        pipe.write(format!("{number} is lost\n"));
        let report = logger.wait_for("report");
        assert_eq!(report, "web.log cannot be written: not a plain file with one name");
        let _ = fs::remove_file(place.log("web.log"));
        let _ = fs::remove_dir(place.log("web.log"));
        wait_until("the count", || {
            let text = super::lines::unstamped(&place.read("web.log"));
            text == ["--- 1 line (10 bytes) was not written: not a plain file with one name"]
        });
        assert_eq!(logger.wait_for("report"), "web.log is written again");
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "safe\n");
}

#[test]
fn a_directory_that_is_gone_is_made_again() {
    let (place, pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&[]));
    pipe.write("one\n");
    place.wait_log("web.log", "one\n");
    fs::remove_dir_all(place.log_dir()).unwrap();
    pipe.write("two\n");
    place.wait_log("web.log", "two\n");
    logger.stop();
}
