//! The part of the system that a service sees, and may change.

use std::fs;
use std::os::unix::fs::symlink;

use super::service::{USER, mounts, namespace, start_without, telling, told};
use crate::common::{
    Going, Place, Signal, has, has_root, is_alive, run, send, status, wait_comm, wait_until,
};

fn started<const N: usize>(going: &mut Going, names: [&str; N]) -> [i32; N] {
    let pids = going.wait_all_started(names);
    pids.iter().for_each(|pid| wait_comm(*pid, "sleep"));
    pids
}

#[test]
fn what_is_private_is_shared_with_nobody() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\nprivate=net uts\n");
    place.service("b", "cmd=sleep 1000\nprivate=ipc\n");
    place.service("c", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let [a, b, c] = started(&mut going, ["a", "b", "c"]);
    for kind in ["net", "uts", "ipc", "mnt", "pid", "user"] {
        let own = namespace(going.pid, kind);
        let expected = [(a, matches!(kind, "net" | "uts")), (b, kind == "ipc"), (c, false)];
        for (pid, is_private) in expected {
            assert_eq!(namespace(pid, kind) != own, is_private, "{kind} of {pid}");
        }
    }
    let interfaces = fs::read_to_string(format!("/proc/{a}/net/dev")).unwrap();
    assert_eq!(interfaces.matches(':').count(), 1, "{interfaces}");
    let addresses = fs::read_to_string(format!("/proc/{a}/net/fib_trie")).unwrap();
    assert!(addresses.contains("127.0.0.1\n           /32 host LOCAL"), "{addresses}");
    going.stop();
}

#[test]
fn private_temporary_files_are_gone_with_the_service() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    let name = format!("{}-file", place.marker);
    let script = format!("ls -A /tmp /var/tmp; echo x >/tmp/{name}; echo y >/var/tmp/{name}");
    for service in ["a", "b"] {
        let keys = format!("{USER}private=tmp\n");
        place.service(service, &telling(&place, service, &script, &keys));
    }
    let mut going = place.start(&[]);
    let [a, b] = started(&mut going, ["a", "b"]);
    for (service, pid) in [("a", a), ("b", b)] {
        assert_eq!(told(&place, service), "/tmp:\n\n/var/tmp:\n", "nothing but its own");
        let file = format!("/proc/{pid}/root/tmp/{name}");
        assert_eq!(fs::read_to_string(file).unwrap(), "x\n");
        let options = mounts(pid, "/tmp").pop().unwrap();
        assert!(options.contains("nosuid") && options.contains("nodev"), "{options}");
    }
    assert!(!fs::exists(format!("/tmp/{name}")).unwrap(), "nobody else sees it");
    assert!(!fs::exists(format!("/var/tmp/{name}")).unwrap());
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!before.contains(&name));
    send(a, Signal::SIGKILL);
    let [again] = started(&mut going, ["a"]);
    wait_until("the old one to be gone", || !is_alive(a));
    assert_eq!(told(&place, "a").matches("/tmp:\n\n/var/tmp:\n").count(), 2);
    assert_ne!(namespace(again, "mnt"), namespace(b, "mnt"));
    going.stop();
}

/// The service is root, so that it is not its user who keeps it from writing.
#[test]
fn the_nearest_word_tells_what_can_be_written() {
    if !has_root() || !has("unshare") {
        return;
    }
    let place = Place::new();
    for name in ["ro", "rw", "rw/ro", "rw/ro/rw", "rw/link"] {
        place.make_dir(name);
    }
    let dir = place.dir.display();
    let script = "for it in / ro rw rw/ro rw/ro/rw; do (echo x >./$it/new) 2>/dev/null && \
                  echo $it; done; [ -w /etc ] && echo etc; : >/dev/null && echo dev; \
                  : >/dev/shm/$0 && rm /dev/shm/$0 && echo shm; echo 0 >/proc/self/oom_score_adj && \
                  echo proc";
    let marker = format!("{}-$GOING_SERVICE", place.marker);
    let script = script.replace("$0", &marker).replace("./$it", "\"$PWD/$it\"");
    let keys = format!(
        "cwd={dir}\nread-only=/\nread-only={dir}/rw/ro\nwritable={dir}/rw\n\
         writable={dir}/rw/ro/rw\nwritable=-{dir}/missing\nread-only=-{dir}/missing\n"
    );
    place.service("a", &telling(&place, "a", &script, &keys));
    let keys = format!("cwd={dir}\nread-only={dir}/ro/\n");
    place.service("b", &telling(&place, "b", &script, &keys));
    // What is mounted is seen in there, unless care is taken.
    let shared = ["unshare", "--mount", "--propagation", "shared"];
    let mut going = place.start_under(&shared, &[]);
    let [a, _] = started(&mut going, ["a", "b"]);
    assert_eq!(told(&place, "a"), "rw\nrw/ro/rw\ndev\nshm\nproc\n");
    assert!(told(&place, "b").starts_with("/\nrw\nrw/ro\nrw/ro/rw\netc\ndev\n"));
    let top = |path: &str| mounts(a, path).pop().unwrap_or_default();
    assert!(top("/").starts_with("ro,"));
    assert!(top(&place.path("rw")).starts_with("rw,"));
    assert!(mounts(going.pid, &place.path("rw")).is_empty(), "mounts are its own");
    going.stop();
}

/// A root with nothing but a shell in it.
fn make_root(place: &Place) -> bool {
    if !has_root() || !has("busybox") {
        return false;
    }
    for name in ["root", "root/bin", "root/tmp", "root/work", "root/proc", "root/var"] {
        place.make_dir(name);
    }
    let busybox = run(&["sh", "-c", "command -v busybox"]).stdout;
    let busybox = String::from_utf8(busybox).unwrap();
    let to = place.path("root/bin/busybox");
    assert!(run(&["install", "-m", "755", busybox.trim(), &to]).status.success());
    for name in ["sh", "ls", "sleep"] {
        // As it is in there, and nowhere else.
        symlink("/bin/busybox", place.path(&format!("root/bin/{name}"))).unwrap();
    }
    fs::remove_dir(place.path("root/var")).unwrap();
    symlink(place.path("outside"), place.path("root/var")).unwrap();
    place.make_dir("outside");
    true
}

#[test]
fn a_root_of_its_own_is_all_it_sees() {
    let place = Place::new();
    if !make_root(&place) {
        return;
    }
    place.make_dir("theirs");
    symlink("out", place.path("theirs/link")).unwrap();
    run(&["chown", "-hR", "54395:54395", &place.path("theirs")]);
    let root = place.path("root");
    let text = format!(
        "cmd=sh -c 'echo /*; pwd; echo x 2>&1 >/tmp/x; echo x 2>&1 >/new; echo done; \
         exec sleep 1000'\n{USER}chroot={root}\ncwd=/work\nenv=PATH=/nowhere:/bin\nstderr=stdout\n"
    );
    let file = |name: &str| format!("stdout=file:{}\n", place.path(name));
    place.service("a", &format!("{text}{}", file("a.out")));
    // Opened with the user's own rights, and nevertheless outside.
    place.service("b", &format!("{text}{}", file("theirs/link")));
    place.service("c", &format!("{text}{}private=tmp\nread-only=/\n", file("c.out")));
    let mut going = place.start(&[]);
    let [a, _, c] = started(&mut going, ["a", "b", "c"]);
    let said = told(&place, "a");
    assert!(
        said.starts_with("/bin /proc /tmp /var /work\n/work\n")
            && said.contains("new: Permission denied"),
        "{said}"
    );
    wait_until("b to be through", || place.read("theirs/out").ends_with("done\n"));
    assert!(told(&place, "c").contains("new: Read-only file system"));
    for pid in [a, c] {
        assert_eq!(
            fs::read_link(format!("/proc/{pid}/exe")).unwrap().file_name().unwrap(),
            "busybox"
        );
        assert_eq!(status(pid, "Uid"), "54395 54395 54395 54395");
    }
    assert_eq!(fs::read_link(format!("/proc/{a}/root")).unwrap(), place.dir.join("root"));
    assert_eq!(fs::read_to_string(format!("/proc/{c}/root/tmp/x")).unwrap(), "x\n");
    assert!(fs::exists(place.path("root/tmp/x")).is_ok_and(|it| !it), "neither of them may");
    going.stop();
}

#[test]
fn a_strict_service_changes_nothing_but_what_it_is_given() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    let script = "for it in / /srv /etc /run /tmp /proc/sys/kernel/hostname \
                  /sys/kernel/mm/ksm/run /proc/sysrq-trigger; do [ -w $it ] && echo $it; done";
    place.service("a", &telling(&place, "a", script, "harden=strict\nwritable=/srv\n"));
    let mut going = place.start(&[]);
    let [pid] = started(&mut going, ["a"]);
    assert_eq!(told(&place, "a"), "/srv\n/tmp\n");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(pid, set), "0".repeat(16), "{set}");
    }
    assert_eq!(status(pid, "NoNewPrivs"), "1");
    assert_ne!(namespace(pid, "ipc"), namespace(going.pid, "ipc"));
    assert_eq!(namespace(pid, "net"), namespace(going.pid, "net"));
    assert_eq!(going.count("*does without*"), 0);
    going.stop();
}

#[test]
fn what_the_kernel_refuses_is_told_and_only_strict_services_run() {
    let place = Place::new();
    for (name, key) in [
        ("a", "harden=strict"),
        ("b", "private=tmp"),
        ("c", "read-only=/usr"),
        ("d", "private=net"),
    ] {
        place.service(name, &format!("cmd=sleep 1000\n{key}\n"));
    }
    place.service("e", "cmd=sleep 1000\nharden=strict\nprivate=uts\n");
    let Some(mut going) = start_without(&place, "-sys_admin") else { return };
    going.wait_for_all(&[
        "a: does without (harden): Can't make ipc private: Operation not permitted",
        "a: does without (harden): Can't make / read-only: Operation not permitted",
        "a: does without (harden): Can't make tmp private: Operation not permitted",
        "a: started (pid *)",
        "Can't make tmp private: Operation not permitted (b: private, line 2)",
        "Can't make /usr read-only: Operation not permitted (c: read-only, line 2)",
        "Can't make net private: Operation not permitted (d: private, line 2)",
        "Can't make uts private: Operation not permitted (e: private, line 3)",
    ]);
    for name in ["b", "c", "d", "e"] {
        assert_eq!(going.count(&format!("{name}: started*")), 0);
    }
    going.stop();
}

#[test]
fn a_place_that_is_not_there_is_named() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\nchroot=/nonexistent\n");
    place.service("b", "cmd=/bin/sleep 1000\nchroot=/nonexistent\n");
    place.service("c", "cmd=sleep 1000\nread-only=-/nonexistent\nread-only=/nonexistent\n");
    place.service("d", "cmd=sleep 1000\nread-only=/\nwritable=/nonexistent\n");
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "Can't change root to /nonexistent: No such file or directory (a: chroot, line 2)",
        "Can't change root to /nonexistent: No such file or directory (b: chroot, line 2)",
        "Can't make /nonexistent read-only: No such file or directory (c: read-only, line 2)",
        "Can't leave /nonexistent writable: No such file or directory (d: writable, line 3)",
    ]);
    going.stop();
}
