//! What a service is given: user and groups, directory, environment, streams,
//! a session of its own. Looked at from outside, in /proc.

mod common;

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use common::{
    Going, Place, Signal, has, has_root, is_alive, run, stat, status, strings, wait_comm,
    wait_until,
};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:4242:4243:Web:/home/web:/bin/web\n";
const GROUP: &str = "root:x:0:\nweb:x:4243:\nwww:x:4300:other,web\nlogs:x:4301:web\nno:x:4302:o\n";

/// Starts it where these users and groups are all there are. (The static build
/// reads the two files itself, T10.)
fn start_with_users(place: &Place) -> Option<Going> {
    if !has_root() || !has("unshare") {
        return None;
    }
    place.write("passwd", PASSWD);
    place.write("group", GROUP);
    let dir = place.dir.display();
    let script = format!(
        "mount --bind {dir}/passwd /etc/passwd && mount --bind {dir}/group /etc/group && \
         exec \"$@\""
    );
    Some(place.start_under(&["unshare", "--mount", "/bin/sh", "-c", &script, "sh"], &[]))
}

/// Waits for all to be what they were to become.
fn started<const N: usize>(going: &mut Going, names: [&str; N]) -> [i32; N] {
    let pids = going.wait_all_started(names);
    pids.iter().for_each(|it| wait_comm(*it, "sleep"));
    pids
}

fn variable(pid: i32, name: &str) -> Option<String> {
    let mark = format!("{name}=");
    strings(pid, "environ").iter().find_map(|it| it.strip_prefix(&mark)).map(str::to_owned)
}

fn stream(pid: i32, number: u8) -> String {
    let link = fs::read_link(format!("/proc/{pid}/fd/{number}"));
    link.map(|it| it.display().to_string()).unwrap_or_default()
}

#[test]
fn a_user_brings_group_groups_and_home() {
    let place = Place::new();
    place.service("name", "cmd=sleep 1000\nuser=web\n");
    place.service("number", "cmd=sleep 1000\nuser=4242\n");
    let Some(mut going) = start_with_users(&place) else { return };
    for pid in started(&mut going, ["name", "number"]) {
        assert_eq!(status(pid, "Uid"), "4242 4242 4242 4242");
        assert_eq!(status(pid, "Gid"), "4243 4243 4243 4243");
        assert_eq!(status(pid, "Groups"), "4243 4300 4301");
        assert_eq!(status(pid, "CapEff"), "0".repeat(16));
        assert_eq!(status(pid, "CapPrm"), "0".repeat(16));
        for (name, value) in
            [("HOME", "/home/web"), ("USER", "web"), ("LOGNAME", "web"), ("SHELL", "/bin/web")]
        {
            assert_eq!(variable(pid, name).as_deref(), Some(value), "{name}");
        }
    }
    going.stop();
}

#[test]
fn group_and_groups_replace_what_the_user_has() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\nuser=web\ngroup=www\n");
    place.service("b", "cmd=sleep 1000\nuser=web\ngroup=4999\ngroups=logs 4998 no\n");
    place.service("c", "cmd=sleep 1000\nuser=web\ngroups=none\n");
    place.service("d", "cmd=sleep 1000\ngroup=www\n");
    let Some(mut going) = start_with_users(&place) else { return };
    let [a, b, c, d] = started(&mut going, ["a", "b", "c", "d"]);
    for (pid, name, uid, gid, groups) in [
        (a, "a", "4242", "4300", "4300 4301"),
        (b, "b", "4242", "4999", "4301 4302 4998"),
        (c, "c", "4242", "4243", ""),
        (d, "d", "0", "4300", "4300"),
    ] {
        assert_eq!(status(pid, "Uid"), [uid; 4].join(" "), "{name}");
        assert_eq!(status(pid, "Gid"), [gid; 4].join(" "), "{name}");
        assert_eq!(status(pid, "Groups"), groups, "{name}");
    }
    going.stop();
}

#[test]
fn numbers_need_no_entry_and_no_group_is_guessed() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\nuser=54399\ngroup=54398\n");
    place.service("b", "cmd=sleep 1000\nuser=54399\n");
    let mut going = place.start(&[]);
    let [pid] = started(&mut going, ["a"]);
    assert_eq!(status(pid, "Uid"), "54399 54399 54399 54399");
    assert_eq!(status(pid, "Gid"), "54398 54398 54398 54398");
    assert_eq!(status(pid, "Groups"), "54398");
    wait_until("it to be told", || {
        going.count("Can't *user 54399*(b: user, line 2)") == 1
            && going.count("b *quarantined*; strike 1, *") == 1
    });
    going.stop();
}

#[test]
fn an_unknown_user_or_group_is_named_with_its_line() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n# who?\nuser=nosuchuser\n");
    place.service("b", "cmd=sleep 1000\ngroup=nosuchgroup\n");
    place.service("c", "cmd=sleep 1000\ngroups=0 nosuchgroup\n");
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "There is no user nosuchuser (a: user, line 3)",
        "There is no group nosuchgroup (b: group, line 2)",
        "Can't *nosuchgroup*(c: groups, line 2)",
    ]);
    for name in ["a", "b", "c"] {
        let line = format!("{name} *quarantined*; strike 1, *");
        wait_until(&line, || going.count(&line) == 1);
    }
    going.stop();
}

#[test]
fn umask_and_directory_are_set() {
    let place = Place::new();
    place.make_dir("work");
    place.service("set", &format!("cmd=sleep 1000\numask=0137\ncwd={}\n", place.path("work")));
    place.service("unset", "cmd=sleep 1000\n");
    let mut going = place.start_under(&["/bin/sh", "-c", "umask 077; exec \"$@\"", "sh"], &[]);
    let [set, unset] = started(&mut going, ["set", "unset"]);
    for (pid, umask, cwd) in [(set, "0137", place.path("work")), (unset, "0022", "/".to_owned())] {
        assert_eq!(status(pid, "Umask"), umask);
        assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some(&*cwd));
    }
    going.stop();
}

/// The directory is entered with the rights of the service, not with ours.
#[test]
fn only_a_directory_which_the_user_may_enter_will_do() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    for (name, owner) in [("own", "54397:54397"), ("roots", "0:0")] {
        place.make_dir(name);
        let path = place.path(name);
        run(&["chown", owner, &path]);
        run(&["chmod", "700", &path]);
        let text = format!("cmd=sleep 1000\nuser=54397\ngroup=54397\ncwd={path}\n");
        place.service(name, &text);
    }
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "own: started (pid *)",
        &format!(
            "Can't change working directory to {} as user 54397: Permission denied (roots: cwd, line 4)",
            place.path("roots")
        ),
    ]);
    going.stop();
}

#[test]
fn the_environment_is_ours_with_what_the_file_adds() {
    let place = Place::new();
    let text = "cmd=sleep 1000\nenv=A=1\nenv=B=two  'words' = three\nenv=A=2\nenv=EMPTY=\n";
    place.service("a", text);
    let mut going = place.start_under(&["env", "GIVEN=yes", "HOME=/before"], &[]);
    let [a] = started(&mut going, ["a"]);
    for (name, value) in [
        ("A", "2"),
        ("B", "two  'words' = three"),
        ("EMPTY", ""),
        ("GIVEN", "yes"),
        ("HOME", "/before"),
        ("GOING_SERVICE", "a"),
        ("GOING_TEST", &place.marker),
    ] {
        assert_eq!(variable(a, name).as_deref(), Some(value), "{name}");
    }
    let doubles = strings(a, "environ").iter().filter(|it| it.starts_with("A=")).count();
    assert_eq!(doubles, 1);
    if has_root() {
        place.service("b", "cmd=sleep 1000\nuser=0\nenv=HOME=/mine\nenv=GIVEN=changed\n");
        let [b] = started(&mut going, ["b"]);
        for (name, value) in [("HOME", "/mine"), ("USER", "root"), ("GIVEN", "changed")] {
            assert_eq!(variable(b, name).as_deref(), Some(value), "{name}");
        }
    }
    going.stop();
}

#[test]
fn a_command_is_looked_for_in_the_path_of_the_service() {
    let place = Place::new();
    for dir in ["one", "two", "three"] {
        place.make_dir(dir);
    }
    place.write("one/tool", "not executable");
    place.make_dir("two/tool");
    symlink("/bin/sh", place.path("three/tool")).unwrap();
    let dir = place.dir.display();
    let path = format!("env=PATH=relative:{dir}/one::{dir}/two:{dir}/nowhere:{dir}/three\n");
    let out = place.path("out");
    place.service("a", &format!("cmd=tool -c 'echo $0 >{out}; while :; do wait; done'\n{path}"));
    place.service("b", "cmd=tool\n");
    place.service("c", &format!("cmd=tool\nenv=PATH={dir}/one\n"));
    place.service("d", "cmd=./tool\n");
    let mut going = place.start(&[]);
    assert_eq!(place.wait_text("out"), "tool\n");
    going.wait_for_all(&[
        "Can't execute tool: No such file or directory (b: cmd, line 1)",
        "Can't execute tool: Permission denied (c: cmd, line 1)",
        "Can't execute ./tool: No such file or directory (d: cmd, line 1)",
    ]);
    going.stop();
}

/// Nothing sets PATH when init starts us.
#[test]
fn without_a_path_there_is_a_usual_one() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    let mut going = place.start_under(&["env", "-u", "PATH"], &[]);
    let [pid] = started(&mut going, ["a"]);
    let path = variable(pid, "PATH").unwrap();
    assert!(path.split(':').any(|it| it == "/usr/sbin"), "{path}");
    going.stop();
}

#[test]
fn a_script_without_a_first_line_is_run_by_the_shell() {
    let place = Place::new();
    let (script, out) = (place.path("script"), place.path("out"));
    place.write("script", format!("echo \"$0 $# $2\" >{out}\nexec sleep 1000\n"));
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    place.service("a", &format!("cmd={script} one 'two words'\n"));
    place.service("b", &format!("cmd=./script one 'two words'\ncwd={}\n", place.dir.display()));
    let mut going = place.start(&[]);
    going.wait_for_all(&["a: started (pid *)", "b: started (pid *)"]);
    wait_until("it to run", || place.read("out").ends_with("script 2 two words\n"));
    going.stop();
}

#[test]
fn streams_lead_where_the_file_says() {
    let place = Place::new();
    let (input, output) = (place.path("input"), place.path("output"));
    place.write("input", "hello\n");
    let script = "read x; echo got $x; echo error >&2; exec sleep 1000";
    let streams = format!("stdin=file:{input}\nstdout=file:{output}\nstderr=stdout\n");
    place.service("files", &format!("cmd=/bin/sh -c '{script}'\n{streams}"));
    place.service("null", "cmd=sleep 1000\nstdout=null\nstderr=null\n");
    place.service("ours", "cmd=sleep 1000\nstdin=inherit\nstdout=inherit\nstderr=inherit\n");
    place.service("unset", "cmd=sleep 1000\n");
    place.service("apart", &format!("cmd=sleep 1000\nstdout=null\nstderr=file:{output}\n"));
    place.write("output", "before\n");
    let stdin = ["/bin/sh", "-c", "exec </dev/zero \"$@\"", "sh"];
    let mut going = place.start_under(&stdin, &[]);
    let pids = started(&mut going, ["apart", "files", "null", "ours", "unset"]);
    let [apart, files, null, ours, unset] =
        pids.map(|pid| [0, 1, 2].map(|number| stream(pid, number)));
    let dev_null = || "/dev/null".to_owned();
    let (stdout, report) = (place.path("stdout"), stream(going.pid, 2));
    assert_eq!(files, [input, output.clone(), output.clone()]);
    assert_eq!(null, [dev_null(), dev_null(), dev_null()]);
    assert_eq!(ours, ["/dev/zero".to_owned(), stdout.clone(), report.clone()]);
    assert_eq!(unset, [dev_null(), stdout.clone(), stdout]);
    assert_eq!(apart, [dev_null(), dev_null(), output]);
    assert_eq!(place.read("output"), "before\ngot hello\nerror\n");
    going.stop();
}

#[test]
fn a_stream_that_cannot_be_opened_is_named_with_its_line() {
    let place = Place::new();
    for key in ["stdin", "stdout", "stderr"] {
        place.service(key, &format!("cmd=sleep 1000\n\n{key}=file:/nonexistent/file\n"));
    }
    let mut going = place.start(&[]);
    for key in ["stdin", "stdout", "stderr"] {
        let line = format!(
            "Can't open /nonexistent/file for {key}: No such file or directory \
             ({key}: {key}, line 3)"
        );
        wait_until(&line, || going.count(&line) == 1);
    }
    going.stop();
}

/// A named pipe nobody reads holds up whoever opens it, which must not be us.
#[test]
fn a_pipe_without_a_reader_holds_up_only_its_service() {
    let place = Place::new();
    let pipe = place.path("pipe");
    assert!(run(&["mkfifo", &pipe]).status.success());
    place.service("a", &format!("cmd=sleep 1000\nstdout=file:{pipe}\nstop=TERM 1s KILL\n"));
    place.service("b", &format!("cmd=sleep 1000\nstdout=file:{pipe}\nstop=TERM 1s KILL\n"));
    place.service("c", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    started(&mut going, ["c"]);
    place.remove("a");
    going.wait_for("a: removed");
    let reader = fs::File::open(&pipe).unwrap();
    started(&mut going, ["b"]);
    drop(reader);
    going.stop();
    assert_eq!(going.count("a: started*"), 0);
}

/// A file which only root may write is opened before the user is changed, but
/// no link which that user could have made leads us there.
#[test]
fn the_rights_of_root_open_no_file_through_a_link_of_the_user() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    let user = "54396";
    for name in ["theirs", "roots"] {
        place.make_dir(name);
    }
    for name in ["roots/target", "roots/twice"] {
        place.write(name, "");
        fs::set_permissions(place.dir.join(name), Permissions::from_mode(0o600)).unwrap();
    }
    symlink("../roots", place.path("theirs/directory")).unwrap();
    symlink("../roots/target", place.path("theirs/file")).unwrap();
    symlink("../roots/new", place.path("theirs/new")).unwrap();
    fs::hard_link(place.path("roots/twice"), place.path("theirs/hard")).unwrap();
    run(&["chown", "-hR", &format!("{user}:{user}"), &place.path("theirs")]);
    run(&["chown", "0:0", &place.path("roots/twice")]);
    run(&["chmod", "700", &place.path("roots")]);
    let paths = ["theirs/directory/x", "theirs/file", "theirs/new", "theirs/hard"];
    for (name, path) in ["a", "b", "c", "d"].iter().zip(paths) {
        let script = "cmd=/bin/sh -c 'echo caught; exec sleep 1000'";
        let who = format!("user={user}\ngroup={user}");
        place.service(name, &format!("{script}\n{who}\nstdout=file:{}\n", place.path(path)));
    }
    let who = format!("user={user}\ngroup={user}\n");
    let good = format!("cmd=/bin/sh -c 'echo good; exec sleep 1000'\n{who}");
    place.service("e", &format!("{good}stdout=file:{}\n", place.path("roots/log")));
    place.service("f", &format!("{good}stdout=file:{}\n", place.path("theirs/log")));
    let mut going = place.start(&[]);
    for (name, path) in ["a", "b", "c", "d"].iter().zip(paths) {
        let path = place.path(path);
        let line =
            format!("Can't open {path} for stdout: Permission denied ({name}: stdout, line 4)");
        wait_until(&line, || going.count(&line) >= 1);
    }
    going.wait_for_all(&["e: started (pid *)", "f: started (pid *)"]);
    assert_eq!(place.wait_text("roots/log"), "good\n");
    assert_eq!(place.wait_text("theirs/log"), "good\n");
    going.stop();
    assert_eq!(place.read("roots/target") + &place.read("roots/twice"), "");
    let names = fs::read_dir(place.dir.join("roots")).unwrap().count();
    assert_eq!(names, 3, "something was created");
}

#[test]
fn every_service_leads_a_session_of_its_own() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    place.service("b", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    for pid in started(&mut going, ["a", "b"]) {
        let fields = stat(pid).unwrap();
        assert_eq!(fields[1], going.pid.to_string(), "parent");
        assert_eq!(fields[2], pid.to_string(), "group");
        assert_eq!(fields[3], pid.to_string(), "session");
        assert_eq!(fields[4], "0", "terminal");
        assert!(is_alive(pid));
    }
    // So that a signal from a terminal, to our group, is none of theirs.
    going.signal(Signal::SIGINT);
    assert_eq!(going.wait_exit(), 0);
    going.wait_for("SIGINT: stopping 2 services");
    going.wait_for_all(&["a: stopped after *", "b: stopped after *"]);
}
