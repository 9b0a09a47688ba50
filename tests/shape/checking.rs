//! What `going --check` knows beforehand.

use crate::common::{Place, program, run};

#[test]
fn what_can_be_known_is_complained_about() {
    let place = Place::new();
    place.write("file", "no variable\n");
    let (file, dir) = (place.path("file"), place.dir.display());
    for (name, text) in [
        ("affinity", "cmd=sh\ncpu-affinity=1000-1020\n".to_owned()),
        ("chroot", "cmd=/bin/sh\nchroot=/nonexistent\n".to_owned()),
        ("chroot-file", format!("cmd=/bin/sh\nchroot={file}\n")),
        ("content", format!("cmd=sh\nenv-file={file}\n")),
        ("file", "cmd=sh\nenv-file=-/nonexistent\nenv-file=/nonexistent\n".to_owned()),
        (
            "fine",
            format!("cmd=sh ${{A:-a}}\nenv-file=-/nonexistent\nread-only={dir}\nharden=strict\n"),
        ),
        ("trees", "cmd=sh\nread-only=-/nonexistent\nwritable=/nonexistent\n".to_owned()),
        ("variable", "cmd=sh\nenv=A=${GOING_NO_SUCH}\n".to_owned()),
    ] {
        place.service(name, &text);
    }
    let confdir = place.path("going.d");
    let output = run(&[&program(), "--check", "-d", &confdir]);
    assert_eq!(output.status.code(), Some(65));
    let expected = format!(
        "affinity:2: Can't set cpu-affinity to 1000-1020: Invalid argument
chroot:1: Can't execute /bin/sh: No such file or directory
chroot:2: Can't change root to /nonexistent: No such file or directory
chroot-file:1: Can't execute /bin/sh: Not a directory
chroot-file:2: Can't change root to {file}: Not a directory
content:2: Can't take the variables of {file}:1: no \"=\", but a line must be NAME=VALUE
file:2: Can't read /nonexistent: No such file or directory
trees:3: Can't leave /nonexistent writable: No such file or directory
variable:2: Can't expand env: the variable GOING_NO_SUCH is not set
"
    );
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.replace(&format!("{confdir}/"), ""), expected);
}

/// A hard limit is given to a process by whoever starts it.
#[test]
fn limits_and_rights_that_root_lacks_are_complained_about() {
    if !crate::common::has_root() || !crate::common::has("setpriv") {
        return;
    }
    let place = Place::new();
    place.service("limit", "cmd=sh\nlimit-core=0:1M\nlimit-nofile=50:100\nlimit-as=1G\n");
    place.service("rights", "cmd=sh\ncapabilities=chown net-raw\n");
    let confdir = place.path("going.d");
    let script = "ulimit -n 60; exec setpriv --bounding-set=-net_raw,-sys_resource \"$@\"";
    let words = ["sh", "-c", script, "sh", &program(), "--check", "-d", &confdir];
    let said = String::from_utf8(run(&words).stdout).unwrap();
    assert_eq!(
        said.replace(&format!("{confdir}/"), ""),
        "limit:3: Can't set limit-nofile to 50:100: Operation not permitted
rights:2: Can't keep capability net-raw: Operation not permitted
"
    );
}
