//! Work that is done every so often, and runs that last only so long.

use crate::common::{Place, Signal, has, is_alive, wait_until};
use crate::{order, told};

/// In milliseconds, for whom the clock of the wall does not matter.
fn number(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
}

#[test]
fn work_is_done_again_and_again_and_never_twice_at_once() {
    let place = Place::new();
    let (now, two) = (place.path("now"), place.path("two"));
    let script = format!("mkdir {now} || echo >{two}; sleep 0.1; rmdir {now}");
    place.service("job", &(place.logged("job", &script) + "type=oneshot\nevery=60ms\n"));
    let mut going = place.start(&[]);
    place.wait_starts("job", 5);
    assert_eq!(place.read("two"), "");
    assert_eq!(going.count("*quarantine*"), 0);
    going.stop();
}

#[test]
fn the_next_run_is_shown_and_a_stop_calls_it_off() {
    let place = Place::new();
    let keys = "type=oneshot\nevery=1h\n";
    place.service("job", &(place.logged("job", "true") + keys));
    place.service("bad", &(place.logged("bad", "exit 3") + keys + "restart=never\n"));
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "job terminated after: 0s (exit status 0; done)",
        "bad terminated after: *",
    ]);
    for (name, state) in [("job", "done"), ("bad", "failed")] {
        let status = told(&place, "status", name);
        assert!(status.contains(&format!("state={state}\n")), "{status}");
        assert!(status.contains("\nnext=run\n"), "{status}");
        let next = number(&status, "next-ms").unwrap();
        assert!((3_500_000..=3_600_000).contains(&next), "{status}");
    }
    // Patience counts at once.
    place.service("job", &(place.logged("job", "true") + "type=oneshot\nevery=100ms\n"));
    place.wait_starts("job", 3);
    order(&place, "stop", "job");
    wait_until("rest", || told(&place, "status", "job").contains("state=down\n"));
    let count = place.starts("job").len();
    assert_eq!(number(&told(&place, "status", "job"), "next-ms"), None);
    order(&place, "start", "bad");
    place.wait_starts("bad", 2);
    assert_eq!(place.starts("job").len(), count);
    going.stop();
}

#[test]
fn a_run_that_was_missed_is_made_up_for_once() {
    let place = Place::new();
    let keys = "type=oneshot\nevery=500ms\n";
    let script = format!("date +%s%N >>{}", place.path("times"));
    place.service("job", &(place.logged("job", &script) + keys));
    place.service("late", &(place.logged("late", "true") + "type=oneshot\nevery=1h\n"));
    let mut going = place.start(&[]);
    going.wait_for_all(&["job terminated*done)", "late terminated*done)"]);
    going.signal(Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
    let before = place.starts("job").len();
    let gap = || {
        let times: Vec<u64> =
            place.read("times").lines().skip(before).map(|it| it.parse().unwrap()).collect();
        times[1].saturating_sub(times[0]) / 1_000_000
    };
    // Longer than three times as long nobody is there.
    let start = std::time::Instant::now();
    wait_until("time", || start.elapsed().as_millis() > 1600);
    let mut going = place.start(&[]);
    place.wait_starts("job", before + 1);
    place.wait_starts("job", before + 2);
    wait_until("times", || place.read("times").lines().count() >= before + 2);
    assert!(gap() > 300, "made up for more than once: {}", gap());
    // What is not due yet is as far away as it was.
    let status = told(&place, "status", "late");
    assert!(number(&status, "next-ms").is_some_and(|it| it < 3_600_000 - 1600), "{status}");
    assert_eq!(place.starts("late").len(), 1);
    going.stop();
}

#[test]
fn a_run_ends_in_order_when_it_has_lasted_long_enough() {
    let place = Place::new();
    let script = "trap 'echo $$ >>$0.ended; exit 0' TERM; sleep 1000 & wait";
    place.service("web", &(place.logged("web", script) + "max-runtime=300ms\n"));
    place.service("long", "cmd=sleep 1000\nmax-runtime=1h\n");
    let mut going = place.start(&[]);
    going.wait_all_started(["web", "long"]);
    going.wait_for("web: has run for 300ms (max-runtime), restarting");
    going.wait_for("web: stopping (SIGTERM to group *)");
    going.wait_started("web");
    going.wait_started("web");
    let why = told(&place, "why", "web");
    assert!(why.contains("last-ordered=yes\n") && !why.contains("last-strike"), "{why}");
    assert!(place.read("web.sh.ended").lines().count() >= 2);
    let status = told(&place, "status", "long");
    assert!(status.contains("\nnext=restart\n"), "{status}");
    assert!(number(&status, "next-ms").is_some_and(|it| it > 3_500_000), "{status}");
    going.stop();
}

#[test]
fn too_much_memory_is_the_end_of_a_run_with_figures() {
    if !has("python3") {
        return;
    }
    let place = Place::new();
    // Its child has the memory, in a session of its own.
    let eats = "import time; x = b'x' * (80 << 20); time.sleep(1000)";
    place.write("eat.py", eats);
    let script = format!(
        "[ -e {0} ] && exec sleep 1000; : >{0}; setsid python3 {1} & wait",
        place.path("once"),
        place.path("eat.py")
    );
    place.service("web", &(place.logged("web", &script) + "max-memory=60M\n"));
    let keys = "max-memory=1G\n";
    place.service("small", &("cmd=sleep 1000\n".to_owned() + keys));
    let mut going = place.start(&[]);
    let [web, small] = going.wait_all_started(["web", "small"]);
    let line = going.wait_for("web: has *M of memory, more than 60M (max-memory), restarting");
    let memory: u64 = line.split(['M', ' ']).find_map(|it| it.parse().ok()).unwrap();
    assert!((80..150).contains(&memory), "{line}");
    going.wait_started("web");
    assert!(!is_alive(web) && is_alive(small));
    assert!(told(&place, "why", "web").contains("last-ordered=yes\n"));
    going.stop();
}
