//! Service files of any bytes: parsing must end, and either refuse the file with
//! complaints that make sense, or give a spec that survives being written down.

#![no_main]

use going::config::keys::{all, differences};
use going::config::{Complaint, Spec, line_of, parse, set_default};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let defaults = Spec::default();
    match parse(text, &defaults) {
        Ok(spec) => accepted(text, &spec),
        Err(complaints) => refused(text, &complaints),
    }
    options(text);
});

fn accepted(text: &[u8], spec: &Spec) {
    assert!(spec.cmd.first().is_some_and(|program| !program.is_empty()));
    assert!(spec.cwd.starts_with(['/', '$']));
    assert!(spec.policy.backoff_max >= spec.policy.backoff);
    assert!(spec.policy.stop.len() <= 16 && spec.policy.jitter <= 100 && spec.umask <= 0o777);
    let first = line_of(text, "cmd");
    assert!(first > 0, "a command nobody wrote");
    // It must stand in the file as it is: one line that begins with the key.
    let line = text.split(|&byte| byte == b'\n').nth(first as usize - 1).unwrap();
    assert!(line.trim_ascii_start().starts_with(b"cmd") || first == 1);

    let again = parse(dump(spec).as_bytes(), &Spec::default());
    assert_eq!(again.as_ref(), Ok(spec));
    assert!(differences(spec, &again.unwrap()).is_empty());
}

fn refused(text: &[u8], complaints: &[Complaint]) {
    let lines = text.split(|&byte| byte == b'\n').count();
    assert!(!complaints.is_empty() && complaints.len() <= 101);
    assert!(complaints.is_sorted_by_key(|complaint| complaint.line));
    for complaint in complaints {
        assert!(complaint.line as usize <= lines);
        // It goes into a log line of its own, whatever is in the file.
        assert!(!complaint.message.is_empty() && complaint.message.len() < 1000);
        assert!(!complaint.message.contains(|letter: char| letter.is_control()));
    }
}

fn dump(spec: &Spec) -> String {
    let mut text = String::new();
    for key in all() {
        for value in (key.get)(spec).split('\n').filter(|value| !value.is_empty()) {
            text += &format!("{}={value}\n", key.name);
        }
    }
    text
}

/// Each line as an option: what is taken must not depend on what came before.
fn options(text: &[u8]) {
    let mut defaults = Spec::default();
    for line in String::from_utf8_lossy(text).lines() {
        let before = defaults.clone();
        match set_default(&mut defaults, line) {
            Ok(()) => {}
            Err(message) => {
                assert!(!message.contains(|letter: char| letter.is_control()));
                assert_eq!(defaults, before);
            }
        }
    }
}
