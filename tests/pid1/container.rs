//! The real process 1, of a PID namespace with a root of its own made of busybox:
//! read-only, and with as little else as there can be.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{
    Going, Place, Signal, children, has, has_root, program, run, status, wait_until,
};

/// Has the namespace, its root and its mounts made, and going started in there, with
/// whatever follows. `PROC`, `WHO` and `WRITABLE` say how.
const ENTER: &str = r#"
set -e
root=$1
shift
mount --bind "$root" "$root"
mount -t tmpfs -o size=64k,mode=1777 shm "$root/dev/shm"
if test "$PROC" = yes; then mount -t proc proc "$root/proc"; fi
if test "$WRITABLE" = no; then mount -o remount,bind,ro "$root"; fi
exec chroot --userspec="$WHO" "$root" "$@"
"#;

/// Everything in the container that is no directory of the kernel.
fn make_root(place: &Place) -> String {
    let root = place.path("root");
    let script = r#"
set -e
mkdir -p "$1/bin" "$1/dev/shm" "$1/proc" "$1/etc/going.d" "$1/run" "$1/tmp" "$1/var/log"
cp "$(command -v busybox)" "$1/bin/busybox"
for name in sh sleep cat test grep ps seq kill true; do ln -s busybox "$1/bin/$name"; done
mknod -m 666 "$1/dev/null" c 1 3
for name in going going-log goingctl; do
	install -m 755 "$2/$name" "$1/bin/$name"
	{ ldd "$2/$name" 2>/dev/null || :; } | tr ' \t' '\n\n' | { grep '^/' || :; } |
		while read -r library; do
			mkdir -p "$1${library%/*}"
			cp -Ln "$library" "$1$library" 2>/dev/null || :
		done
done
printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$1/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$1/etc/group"
"#;
    let directory = program().rsplit_once('/').unwrap().0.to_owned();
    let output = run(&["sh", "-c", script, "sh", &root, &directory]);
    assert!(output.status.success(), "{output:?}");
    root
}

fn write_service(root: &str, name: &str, text: &str) {
    let path = format!("{root}/etc/going.d/{name}");
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// Starts `going WORDS` as process 1.
fn start(place: &Place, settings: [&str; 3], words: &[&str]) -> Going {
    let root = place.path("root");
    let settings: Vec<_> = ["PROC", "WHO", "WRITABLE"]
        .iter()
        .zip(settings)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut all = vec!["env"];
    all.extend(settings.iter().map(String::as_str));
    all.extend(["unshare", "--mount", "--pid", "--fork", "--propagation=private"]);
    all.extend(["sh", "-c", ENTER, "sh", &root, "/bin/going"]);
    all.extend(words);
    place.start_plainly(&all)
}

fn can() -> bool {
    has_root() && has("unshare") && has("busybox") && has("chroot")
}

const NOBODY: &str = "65534:65534";

/// Without /dev/log, a place to write, /proc, root's rights, in any combination.
#[test]
fn as_process_1_it_needs_nothing_but_a_kernel() {
    if !can() {
        return;
    }
    let place = Place::new();
    let root = make_root(&place);
    // It says so in the one place there is.
    let side = "echo side >/dev/shm/side; exec sleep 1000";
    write_service(&root, "side", &format!("cmd=sh -c '{side}'\n"));
    let main = "until test -s /dev/shm/side; do sleep 0.02; done; exit 7";
    for (proc, who) in [("yes", "0:0"), ("yes", NOBODY), ("no", "0:0"), ("no", NOBODY)] {
        let words = ["--report", "stderr", "-d", "/etc/going.d", "--", "sh", "-c", main];
        let mut going = start(&place, [proc, who, "no"], &words);
        assert_eq!(going.wait_exit(), 7, "/proc: {proc}, user: {who}: {:?}", going.lines());
        going.wait_for_all(&["No control socket*", "No logs*", "side: started (pid *)"]);
        going.wait_for_all(&["side: stopped after *", "all services stopped"]);
    }
}

/// 64 KB for all that it has to write, and everything works.
#[test]
fn a_run_directory_on_64_kilobytes_is_enough() {
    if !can() {
        return;
    }
    let place = Place::new();
    let root = make_root(&place);
    write_service(&root, "side", "cmd=sleep 1000\n");
    let main = "until goingctl -r /dev/shm/run status side | grep -q ' up '; do sleep 0.02; done; \
                goingctl -r /dev/shm/run restart side && exit 9";
    for who in ["0:0", NOBODY] {
        let words = ["--report", "stderr", "-r", "/dev/shm/run", "-d", "/etc/going.d", "--"];
        let words = [&words[..], &["sh", "-c", main]].concat();
        let mut going = start(&place, ["yes", who, "no"], &words);
        assert_eq!(going.wait_exit(), 9, "user {who}: {:?}", going.lines());
        assert_eq!(going.count("side: started (pid *)"), 2);
        assert_eq!(going.count("*No space left*"), 0);
    }
}

/// What it does as the init of a whole system, and what the end of that is.
#[test]
fn process_1_reaps_all_and_stops_all() {
    if !can() {
        return;
    }
    let place = Place::new();
    let root = make_root(&place);
    let orphans =
        "for it in $(seq 500); do (sleep 0.01 &); done; echo done >/tmp/done; exec sleep 1000";
    write_service(&root, "a", &format!("cmd=sh -c '{orphans}'\n"));
    write_service(&root, "b", "cmd=sh -c 'sleep 1000 & exec sleep 1000'\n");
    // Twice: the second one finds nothing of the first one's that could be taken up.
    for (signal, _) in [(Signal::SIGTERM, 0), (Signal::SIGINT, 1)] {
        let _ = fs::remove_file(format!("{root}/tmp/done"));
        let mut going = start(&place, ["yes", "0:0", "yes"], &["--report", "stderr"]);
        going.wait_for_all(&["a: started (pid *)", "b: started (pid *)"]);
        let path = format!("{root}/tmp/done");
        wait_until("the orphans", || fs::exists(&path).is_ok_and(|it| it));
        let inner = children(going.pid)[0];
        assert_eq!(status(inner, "NSpid").split(' ').next_back(), Some("1"));
        wait_until("all orphans to be reaped", || {
            let names: Vec<_> = children(inner).iter().map(|it| status(*it, "Name")).collect();
            names.iter().all(|it| it == "sleep" || it == "going-log") && names.len() <= 3
        });
        crate::common::send(inner, signal);
        going.wait_for("all services stopped");
        assert_eq!(going.wait_exit(), 0);
        assert!(children(inner).is_empty());
    }
}

/// `docker stop`, and what is left when the main command ends.
#[test]
fn a_container_ends_with_its_main_command() {
    if !can() {
        return;
    }
    let place = Place::new();
    let root = make_root(&place);
    let main = "trap 'echo bye >/tmp/bye; exit 5' TERM; echo >/tmp/ready; \
                while :; do sleep 0.02; done";
    let words = ["--report", "stderr", "--", "sh", "-c", main];
    let mut going = start(&place, ["yes", NOBODY, "yes"], &words);
    fs::set_permissions(format!("{root}/tmp"), fs::Permissions::from_mode(0o777)).unwrap();
    let ready = format!("{root}/tmp/ready");
    wait_until("the trap", || fs::exists(&ready).is_ok_and(|it| it));
    crate::common::send(children(going.pid)[0], Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 5);
    assert_eq!(fs::read_to_string(format!("{root}/tmp/bye")).unwrap(), "bye\n");
}
