//! What a service does not use costs it nothing.

use crate::common::{Place, has, program, wait_until};

/// What each child does for itself, between its birth and its program: a session, three
/// descriptors, a record of itself that outlives us (with a parent that must not die
/// meanwhile), signals, a trace by which it is known, umask and directory.
const CALLS: [&str; 12] = [
    "setsid", "dup2", "dup2", "dup2", "prctl", "getppid", "pwrite64", "prctl", "prctl", "umask",
    "chdir", "execve",
];

/// What libc does after a fork, and asks the kernel for instead of knowing it.
const OF_LIBC: [&str; 6] =
    ["set_tid_address", "set_robust_list", "rt_sigprocmask", "getpid", "gettid", "rseq"];

#[test]
fn a_plain_service_has_no_call_for_what_others_use() {
    if !has("strace") {
        return;
    }
    let place = Place::new();
    place.service("plain", "cmd=sleep 1000\nstdout=null\n");
    place.service("wrapped", "cmd=sleep 1000\nstdout=null\nnice=1\nlimit-core=0\n");
    let (confdir, trace) = (place.path("going.d"), place.path("trace"));
    let words = ["strace", "-f", "-o", &trace, &program(), "-d", &confdir, "--report", "stderr"];
    let mut going = place.start_words(&words);
    let [plain, wrapped] = going.wait_all_started(["plain", "wrapped"]);
    let calls = |pid: i32| {
        let text = place.read("trace");
        let own = text.lines().filter_map(|line| line.strip_prefix(&format!("{pid} ")));
        let names = own.filter_map(|line| Some(line.trim_start().split_once('(')?.0.to_owned()));
        let all: Vec<_> = names.filter(|it| !OF_LIBC.contains(&it.as_str())).collect();
        let end = all.iter().position(|it| it == "execve");
        end.map(|end| all[..=end].to_vec())
    };
    wait_until("both programs", || [plain, wrapped].iter().all(|it| calls(*it).is_some()));
    // Some machines have dup3 only.
    let said: Vec<_> = calls(plain).unwrap().iter().map(|it| it.replace("dup3", "dup2")).collect();
    assert_eq!(said, CALLS);
    let more = calls(wrapped).unwrap();
    assert!(more.iter().any(|it| it == "setpriority"), "{more:?}");
    assert!(more.iter().any(|it| it == "prlimit64"), "{more:?}");
    place.remove("plain");
    place.remove("wrapped");
    going.wait_for_all(&["plain: removed", "wrapped: removed"]);
}
