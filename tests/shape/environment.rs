//! The environment, and what is put in from it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::service::{USER, telling, told};
use crate::common::{Place, has_root, run, strings, wait_comm, wait_until};

fn variables(pid: i32) -> Vec<String> {
    let mut variables = strings(pid, "environ");
    variables.sort_unstable();
    variables
}

fn variable(pid: i32, name: &str) -> Option<String> {
    let mark = format!("{name}=");
    strings(pid, "environ").iter().find_map(|it| it.strip_prefix(&mark)).map(str::to_owned)
}

#[test]
fn variables_stand_for_their_values() {
    let place = Place::new();
    place.make_dir("work");
    let text = format!(
        "cmd=\"${{SHELL_HERE}}\" -c 'echo \"$#: $*\" ${{INNER:-shell}} $$ ; exec sleep 1000' \
         sh ${{VALUE}} \"${{GIVEN}}\" $${{VALUE}} x${{UNSET:-}}y '${{VALUE}}'\n\
         env=SHELL_HERE=/bin/sh\nenv=VALUE=a  b \"c\nenv=INNER2=${{VALUE}}/${{INNER:-none}}\n\
         env=VALUE2=$${{VALUE}}\nenv=PATH=/x:${{PATH}}\n\
         cwd=${{BASE}}/work\nenv=BASE={0}\nstdout=file:${{BASE}}/${{GOING_SERVICE}}.out\n",
        place.dir.display()
    );
    place.service("a", &text);
    let mut going = place.start_under(&["env", "GIVEN=two words", "PATH=/bin:/usr/bin"], &[]);
    let pid = going.wait_started("a");
    wait_comm(pid, "sleep");
    let expected = format!("5: a  b \"c two words ${{VALUE}} xy ${{VALUE}} shell {pid}\n");
    assert_eq!(place.read("a.out"), expected);
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), place.dir.join("work"));
    for (name, value) in [
        ("INNER2", "a  b \"c/none"),
        ("VALUE2", "${VALUE}"),
        ("PATH", "/x:/bin:/usr/bin"),
        ("GIVEN", "two words"),
    ] {
        assert_eq!(variable(pid, name).as_deref(), Some(value), "{name}");
    }
    going.stop();
}

#[test]
fn a_variable_that_is_not_set_keeps_it_from_starting() {
    let place = Place::new();
    place.service("a", "env=A=1\ncmd=sleep ${NO_SUCH} 1000\n");
    place.service("b", "cmd=sleep 1000\nenv=A=${A}\n");
    place.service("c", "cmd=sleep 1000\nstdout=file:/tmp/${NO_SUCH}/x\n");
    place.service("d", "cmd=sleep 1000\nenv=A=tmp\n\ncwd=${A}\n");
    let mut going = place.start_under(&["env", "-u", "A"], &[]);
    going.wait_for_all(
        &[
            "Can't expand cmd: the variable NO_SUCH is not set (a: cmd, line 2)",
            "Can't expand env: the variable A is not set (b: env, line 2)",
            "Can't expand stdout: the variable NO_SUCH is not set (c: stdout, line 3)",
            "Can't use cwd: with its variables it is no absolute path (d: cwd, line 4)",
        ]
        .map(|it| it.replace("(c: stdout, line 3)", "(c: stdout, line 2)"))
        .each_ref()
        .map(String::as_str),
    );
    for name in ["a", "b", "c", "d"] {
        assert_eq!(going.count(&format!("{name}: started*")), 0);
    }
    going.stop();
}

#[test]
fn files_bring_variables_in_their_order() {
    let place = Place::new();
    let one = "# comment\nA=1\nexport B='two  words' \nC=\"say \\\"hi\\\" $A\"\nD=${A}\nE=here\n";
    place.write("one", one);
    place.write("two", "A=2\r\nF=\r\n");
    let files = format!(
        "env-file={}\nenv-file=-/nonexistent/file\nenv-file={}\n",
        place.path("one"),
        place.path("two")
    );
    let keys = "unset-env=E GIVEN HOME\nenv=HOME=/mine\nenv=G=${A}-${F:-f}\n";
    place.service("a", &format!("cmd=sleep 1000\n{files}{keys}"));
    let mut going = place.start_under(&["env", "GIVEN=yes", "A=0", "OTHER=stays"], &[]);
    let pid = going.wait_started("a");
    wait_comm(pid, "sleep");
    for (name, value) in [
        ("A", Some("2")),
        ("B", Some("two  words")),
        ("C", Some("say \"hi\" $A")),
        ("D", Some("${A}")),
        ("E", None),
        ("F", Some("")),
        ("G", Some("2-f")),
        ("GIVEN", None),
        ("HOME", Some("/mine")),
        ("OTHER", Some("stays")),
    ] {
        assert_eq!(variable(pid, name).as_deref(), value, "{name}");
    }
    // A changed file counts at the next start.
    place.write("two", "A=3\n");
    crate::common::send(pid, crate::common::Signal::SIGKILL);
    let pid = going.wait_started("a");
    wait_comm(pid, "sleep");
    assert_eq!(variable(pid, "A").as_deref(), Some("3"));
    going.stop();
}

#[test]
fn a_clean_environment_has_nothing_of_ours() {
    let place = Place::new();
    let mark = format!("GOING_TEST={}", place.marker);
    place.service("a", &format!("cmd=sleep 1000\nclean-env=yes\nenv={mark}\n"));
    let mut going = place.start_under(&["env", "GIVEN=yes", "PATH=/bin:/usr/bin"], &[]);
    let pid = going.wait_started("a");
    wait_comm(pid, "sleep");
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    // What going needs to find it again is there besides.
    assert!(variables(pid).contains(&"GOING_SERVICE=a".to_owned()));
    let mut others = variables(pid);
    others.retain(|it| !it.starts_with("GOING_"));
    assert_eq!(others, [path]);
    going.stop();
}

#[test]
fn a_file_that_will_not_do_is_named_without_its_secrets() {
    let place = Place::new();
    place.write("bad", "A=1\nB=\"secret\nC=3\n");
    place.write("large", "#".repeat(65_537));
    assert!(run(&["mkfifo", &place.path("pipe")]).status.success());
    for name in ["bad", "large", "pipe", "missing"] {
        place.service(name, &format!("cmd=sleep 1000\nenv-file={}\n", place.path(name)));
    }
    let mut going = place.start(&[]);
    let path = |name: &str| place.path(name);
    for line in [
        format!(
            "Can't take the variables of {}:2: the value of B begins with a quote, but does not \
             end with it (bad: env-file, line 2)",
            path("bad")
        ),
        format!("Can't read {}: File too large (large: env-file, line 2)", path("large")),
        format!("Can't read {}: Invalid argument (pipe: env-file, line 2)", path("pipe")),
        format!(
            "Can't read {}: No such file or directory (missing: env-file, line 2)",
            path("missing")
        ),
    ] {
        wait_until(&line, || going.count(&line) > 0);
    }
    assert!(!going.lines().iter().any(|line| line.contains("secret")));
    going.stop();
}

/// What root's going gives to a service of root, nobody else may have written.
#[test]
fn a_file_of_strangers_is_not_trusted() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    for (name, owner, mode) in
        [("others", "54394", 0o644), ("open", "0", 0o666), ("own", "54395", 0o600)]
    {
        place.write(name, "A=1\n");
        run(&["chown", owner, &place.path(name)]);
        fs::set_permissions(place.path(name), Permissions::from_mode(mode)).unwrap();
        let text = format!("env-file={}\n{USER}", place.path(name));
        place.service(name, &telling(&place, name, "echo $A", &text));
    }
    let mut going = place.start(&[]);
    going.wait_for_all(
        &["others", "open"]
            .map(|name| {
                format!(
                    "Can't trust {}: not only root and the service's user may write it \
                     ({name}: env-file, line 4)",
                    place.path(name)
                )
            })
            .each_ref()
            .map(String::as_str),
    );
    assert_eq!(told(&place, "own"), "1\n");
    going.stop();
}
