//! Each system call of going that can fail for want of something, made to fail by its
//! tracer while there is work to do.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Place, Signal, has, is_alive, send, status, wait_until};
use crate::mains::{is_answered, main_of};
use crate::{descriptors, wait_exactly};

/// What fails, how, and when: `1+` always, `1+2` every other time, for what the
/// standard library tries again by itself.
const FAULTS: &[(&str, &str, &str)] = &[
    ("?open,openat", "EMFILE", "1+"),
    ("?open,openat", "ENFILE", "1+2"),
    ("?open,openat", "ENOMEM", "1+3"),
    ("read,pread64", "EINTR", "1+2"),
    ("read,pread64", "ENOMEM", "1+3"),
    ("write,pwrite64", "ENOSPC", "1+"),
    ("write,pwrite64", "EINTR", "1+2"),
    ("?pipe,pipe2", "EMFILE", "1+"),
    ("?fork,clone,?vfork", "EAGAIN", "1+"),
    ("?fork,clone,?vfork", "ENOMEM", "1+"),
    ("epoll_ctl", "ENOMEM", "1+"),
    ("epoll_ctl", "ENOSPC", "1+2"),
    ("?epoll_wait,epoll_pwait", "ENOMEM", "1+"),
    ("?epoll_wait,epoll_pwait", "EINTR", "1+2"),
    ("accept4", "EMFILE", "1+"),
    ("accept4", "ENFILE", "1+2"),
    ("sendmsg", "ENOBUFS", "1+"),
    ("sendmsg", "ENOMEM", "1+2"),
    ("recvfrom", "ENOMEM", "1+2"),
    ("getdents64", "ENOMEM", "1+2"),
    ("inotify_add_watch", "ENOSPC", "1+"),
    ("inotify_add_watch", "ENOMEM", "1+2"),
    ("?stat,?lstat,fstat,newfstatat,statx", "ENOMEM", "1+2"),
    ("readlinkat,?readlink", "ENOMEM", "1+"),
    ("fcntl", "ENOMEM", "1+2"),
    ("waitid", "EINTR", "1+2"),
    ("ioctl", "ENOMEM", "1+"),
    ("brk,mmap", "ENOMEM", "1+2"),
];

/// So long each of them lasts.
const LASTS: Duration = Duration::from_millis(1200);

/// More system calls than this in that time are those of one that spins, even though
/// its tracer holds it at each.
const CALLS_MAX: usize = 10_000;

/// Has strace do this to going, until it is killed.
fn inject(place: &Place, pid: i32, (names, error, when): (&str, &str, &str)) -> Child {
    let inject = format!("inject={names}:error={error}:when={when}");
    let tracer = Command::new("strace")
        .args(["-o", &place.path("trace"), "-e", "trace=all", "-e", &inject])
        .args(["-p", &pid.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("strace to hold it", || status(pid, "TracerPid") != "0");
    tracer
}

#[test]
fn no_failing_call_costs_more_than_time() {
    if !has("strace") {
        return;
    }
    let place = Place::new();
    place.service("steady", "cmd=sleep 1000\nstdout=log\n");
    place.service("hit", "cmd=sleep 1000\nstdout=log\nmin-uptime=0\nburst=none\n");
    place.service("row-0", "cmd=sleep 1000\nstdout=log\n");
    let args = ["-o", "backoff=50ms", "-o", "backoff-max=200ms"];
    let mut going = place.start(&args);
    wait_exactly(&place, &["steady", "hit", "row-0"]);
    let steady = main_of(&place, "steady");
    let mut before = 0;
    for (row, fault) in FAULTS.iter().enumerate() {
        let _ = fs::remove_file(place.path("trace"));
        let mut tracer = inject(&place, going.pid, *fault);
        let begun = Instant::now();
        send(main_of(&place, "hit").0, Signal::SIGKILL);
        place.service(&format!("row-{}", row + 1), "cmd=sleep 1000\nstdout=log\n");
        place.remove(&format!("row-{row}"));
        // Whoever asks meanwhile may have no answer, or a late one.
        let place_of_it = &place;
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| is_answered(place_of_it, &["command=status"]));
            wait_until("the fault to last", || begun.elapsed() > LASTS);
            send(i32::try_from(tracer.id()).unwrap(), Signal::SIGTERM);
            tracer.wait().unwrap();
            let _ = asking.join().unwrap();
        });
        let trace = place.read("trace");
        let (calls, failed) = (trace.lines().count(), trace.matches("(INJECTED)").count());
        assert!(is_alive(going.pid), "{fault:?} kills it");
        assert!(calls < CALLS_MAX, "{fault:?}: {calls} calls in {LASTS:?}");
        eprintln!("{fault:?}: {failed} of {calls} calls failed");
        let last = format!("row-{}", row + 1);
        wait_exactly(&place, &["steady", "hit", &last]);
        assert_eq!(main_of(&place, "steady"), steady, "{fault:?} restarts others");
        if row == 0 {
            before = descriptors(&going);
        }
    }
    wait_until("its descriptors to be as many as before", || descriptors(&going) <= before);
    // It knows all that runs, and so does the next one.
    crate::mains::kill(&mut going);
    let mut going = place.start(&args);
    going.wait_for("took up 4 services, 0 died meanwhile");
    assert_eq!(main_of(&place, "steady"), steady);
    going.stop();
}
