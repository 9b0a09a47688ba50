//! The command line, and the files of alerts: what is wrong is told with its place.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::bench::{ask, noting, place, secret, target, told, value};
use crate::common::has_root;

fn checked(place: &crate::common::Place) -> (Option<i32>, String) {
    let output = ask(place, &["--check"]);
    let said = String::from_utf8_lossy(&output.stdout).replace(&place.path("alert.d/"), "");
    (output.status.code(), said)
}

#[test]
fn complaints_have_file_line_and_hint() {
    let place = place();
    assert_eq!(checked(&place), (Some(0), String::new()));
    let key = secret(&place, "key", "hunter2\n");
    target(&place, "good", &format!("webhook=http://localhost/\nsecret=file:{key}\n"));
    target(&place, ".hidden", "nonsense");
    target(&place, "aside.disabled", "nonsense");
    assert_eq!(checked(&place), (Some(0), String::new()));
    target(&place, "bad", "# x\nwebhok=http://localhost/\n");
    target(&place, "two", "mail=root\nsyslog=daemon\n");
    target(&place, "gone", "command=/no/such/program\n");
    target(&place, "open", "event=exit\nwebhook=secret\nsecret=file:/etc/passwd\n");
    let (code, said) = checked(&place);
    assert_eq!(code, Some(65));
    assert_eq!(
        said,
        "bad:2: unknown key \"webhok\"; did you mean \"webhook\"?\n\
               gone:1: there is no /no/such/program\n\
               open:3: /etc/passwd: others can read it; chmod 600 /etc/passwd\n\
               two:1: mail= and syslog= in one file; make a file for each\n"
    );
    assert!(!said.contains("hunter2"));
}

#[test]
fn files_of_strangers_are_not_gone_by() {
    if !has_root() {
        return;
    }
    let place = place();
    target(&place, "open", "syslog=daemon\n");
    fs::set_permissions(place.path("alert.d/open"), fs::Permissions::from_mode(0o666)).unwrap();
    target(&place, "theirs", "syslog=daemon\n");
    std::os::unix::fs::chown(place.path("alert.d/theirs"), Some(65534), None).unwrap();
    let (code, said) = checked(&place);
    assert_eq!(code, Some(65));
    let expected = "open: everybody may write it; chmod o-w\n\
                    theirs: it belongs to uid 65534, not to root\n";
    assert_eq!(said, expected);
}

#[test]
fn a_test_message_is_sent_at_once_and_tells_how_that_went() {
    let place = place();
    target(&place, "ops", &noting(&place, "ops", ""));
    target(&place, "broken", &noting(&place, "broken", "exit 3"));
    let output = ask(&place, &["--test", "ops"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ops: sent\n");
    assert_eq!(value(&told(&place, "ops")[0], "GOING_EVENT"), "test");
    let output = ask(&place, &["--test", "broken"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said, "going-alert: broken: not sent: /bin/sh: exit status 3\n");
    let output = ask(&place, &["--test", "opz"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said, "going-alert: no target \"opz\"; did you mean \"ops\"?\n");
    assert_eq!(ask(&place, &["--nonsense"]).status.code(), Some(64));
    let output = ask(&place, &["-d", "/no/such", "--check"]);
    assert_eq!(output.status.code(), Some(72));
}

#[test]
fn a_command_that_does_not_end_is_ended_with_all_of_it() {
    let place = place();
    let cmd = noting(&place, "ops", "sleep 1000 & sleep 1000");
    target(&place, "ops", &format!("timeout=1s\n{cmd}"));
    let output = ask(&place, &["--test", "ops"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said, "going-alert: ops: not sent: /bin/sh: not done within 1s\n");
}

#[test]
fn examples_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/going-alert.d");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let parsed = going::alert::keys::parse(&fs::read(&path).unwrap());
        assert!(parsed.is_ok(), "{}: {parsed:?}", path.display());
        count += 1;
    }
    assert!(count >= 3);
    let service = going::config::parse(
        include_bytes!("../../etc/going-alert"),
        &going::config::Spec::default(),
    );
    assert!(service.is_ok(), "{service:?}");
}
