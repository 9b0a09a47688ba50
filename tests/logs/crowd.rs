//! Many services that write, and one that writes very much: supervision goes on
//! as if nobody wrote, and neither going nor going-log needs more memory for it.

use std::fs;

use super::*;

/// So much is written by the one; a soak may ask for more.
fn megabytes() -> u64 {
    std::env::var("MEGABYTES").map_or(256, |it| it.parse().expect("MEGABYTES is a number"))
}

/// The most memory it ever had, in kB.
fn peak(pid: i32) -> u64 {
    status(pid, "VmHWM").trim_end_matches(" kB").trim().parse().expect("a size")
}

/// How much it has written so far, in bytes.
fn written(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let count = text.lines().find_map(|it| it.strip_prefix("wchar: "));
    count.unwrap().parse().unwrap()
}

/// Kills a service and sees it come back.
fn is_kept(place: &Place, going: &mut Going, name: &str) {
    let (pid, count) = (*place.starts(name).last().unwrap(), place.starts(name).len());
    send(pid, Signal::SIGKILL);
    going.wait_for(&format!("{name} terminated after: *"));
    place.wait_starts(name, count + 1);
}

const KEPT: &str = "min-uptime=0\nburst=none\n";

#[test]
fn a_service_that_writes_for_ever_disturbs_nobody() {
    let place = Place::new();
    let line = "x".repeat(99);
    let flood = format!("cmd=yes {line}\nlog-size=1M\nlog-keep=2\nlog-compress=no\n");
    place.service("flood", &format!("{flood}log-timestamps=no\n"));
    place.service("probe", &format!("{}{KEPT}", place.logged("probe", "exec sleep 1000")));
    let mut going = place.start(LOGGING);
    let logger = wait_logger(&going, None);
    place.wait_starts("probe", 1);
    let begin = 16 << 20;
    wait_until("the flood", || written(logger) > begin);
    let before = [going.pid, logger].map(peak);
    for part in 1..=8 {
        is_kept(&place, &mut going, "probe");
        let goal = begin + (megabytes() << 20) / 8 * part;
        wait_until("more of it", || written(logger) > goal);
    }
    let after = [going.pid, logger].map(peak);
    for (before, after) in before.into_iter().zip(after) {
        assert!(after <= before + 128, "from {before} to {after} kB");
    }
    // All of it went through the log, which is as large as it may be.
    let sizes: Vec<_> =
        files(&place, "flood").iter().map(|it| it.metadata().unwrap().len()).collect();
    assert!(sizes.len() <= 3 && sizes.iter().all(|it| *it <= 1 << 20), "{sizes:?}");
    going.stop();
}

#[test]
fn a_thousand_chatty_services_are_supervised_while_nobody_reads_what_they_say() {
    let place = Place::new();
    place.service("probe", &format!("{}{KEPT}", place.logged("probe", "exec sleep 1000")));
    let mut going = place.start(LOGGING);
    let logger = wait_logger(&going, None);
    place.wait_starts("probe", 1);
    // More than a pipe holds, so that all of them wait in the middle of it.
    let crowd = 1000;
    for number in 0..crowd {
        let text = "cmd=seq 1 14000\ntype=oneshot\nlog-timestamps=no\nlog-compress=no\n";
        place.write(&format!("{number}"), text);
    }
    send(logger, Signal::SIGSTOP);
    for number in 0..crowd {
        fs::rename(place.path(&format!("{number}")), place.path(&format!("going.d/{number}")))
            .unwrap();
    }
    let count = |going: &Going, pattern: &str| going.count(pattern);
    wait_until("a thousand starts", || count(&going, "*: started (pid *") > crowd);
    let before = peak(going.pid);
    for _ in 0..5 {
        is_kept(&place, &mut going, "probe");
    }
    // One that comes now is started, and one that goes is stopped.
    place.service("late", "cmd=sleep 1000\nstdout=null\n");
    going.wait_started("late");
    place.remove("late");
    going.wait_for("late: file gone, stopping");
    going.wait_for("late: stopped after *");
    assert_eq!(count(&going, "* (exit status 0; done)"), 0, "somebody read it");
    assert!(peak(going.pid) <= before + 512, "from {before} to {} kB", peak(going.pid));
    send(logger, Signal::SIGCONT);
    wait_until("all to be done", || count(&going, "* (exit status 0; done)") == crowd);
    for number in [0, 1, 499, 998, 999] {
        let name = number.to_string();
        wait_until("all lines", || lines(&place, &name).len() == 14_000);
        assert_counts(&lines(&place, &name), 14_000);
    }
    going.stop();
    let total: u64 = (0..crowd).map(|it| bytes(&place, &it.to_string())).sum();
    assert!(total > 1000 * 72_000, "{total} bytes");
}
