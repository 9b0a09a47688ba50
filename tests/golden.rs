//! Service files and what is said about them, word for word. A changed sentence
//! must show up in a diff, because people search logs and manuals for it.
//!
//! `GOLDEN_UPDATE=1 cargo test --test golden` writes the expectations anew; they
//! are right when the diff reads right.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use going::config::keys;
use going::config::signals::read_signal;
use going::config::{Complaint, Spec, parse};

/// Cases by the name of their file.
type Cases = BTreeMap<String, Vec<u8>>;

/// The files `*.conf` of a directory beside this file, and those made up here.
fn cases(directory: &str, made: &[(&str, Vec<u8>)]) -> Cases {
    let mut cases: Cases =
        made.iter().map(|(name, text)| (format!("{name}.conf"), text.clone())).collect();
    for entry in fs::read_dir(place(directory)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(!cases.contains_key(&name), "{name} is made up and a file");
            cases.insert(name, fs::read(&path).unwrap());
        }
    }
    cases
}

fn place(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(directory)
}

/// Compares each case with its `.expected`, and tells all that differ at once.
fn check(directory: &str, cases: &Cases, outcome: fn(&str, &[u8]) -> String) {
    let is_update = std::env::var_os("GOLDEN_UPDATE").is_some();
    let mut failures = String::new();
    for (name, text) in cases {
        let path = place(directory).join(name).with_extension("expected");
        let actual = outcome(name, text);
        if is_update {
            fs::write(&path, &actual).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if actual != expected {
            failures += &format!("{name}, expected:\n{expected}but is:\n{actual}\n");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    let expectations = fs::read_dir(place(directory)).unwrap();
    for path in expectations.map(|entry| entry.unwrap().path()) {
        let case = path.with_extension("conf");
        let case = case.file_name().unwrap().to_str().unwrap();
        assert!(cases.contains_key(case), "{} belongs to no case", path.display());
    }
}

/// The complaints in the form in which `going --check` prints them.
fn complaints(name: &str, text: &[u8]) -> String {
    let complaints = match parse(text, &Spec::default()) {
        Ok(_) => panic!("{name}: nothing to complain about"),
        Err(complaints) => complaints,
    };
    let print = |Complaint { line, message }: &Complaint| match line {
        0 => format!("{name}: {message}\n"),
        _ => format!("{name}:{line}: {message}\n"),
    };
    complaints.iter().map(print).collect()
}

/// The values of an accepted file that are not the default, in their canonical
/// spelling, so that a new key changes no expectation.
fn values(name: &str, text: &[u8]) -> String {
    let spec = match parse(text, &Spec::default()) {
        Ok(spec) => spec,
        Err(complaints) => panic!("{name}: {complaints:?}"),
    };
    let dump = dump(&spec);
    assert_eq!(
        parse(dump.as_bytes(), &Spec::default()),
        Ok(spec),
        "{name} is another service when it is written down and read again"
    );
    let usual = format!("\n{}", self::dump(&Spec::default()));
    let is_special = |line: &&str| !usual.contains(&format!("\n{line}"));
    dump.split_inclusive('\n').filter(is_special).map(shorten).collect()
}

fn dump(spec: &Spec) -> String {
    let mut text = String::new();
    for key in keys::all() {
        for value in (key.get)(spec).split('\n').filter(|value| !value.is_empty()) {
            text += &format!("{}={value}\n", key.name);
        }
    }
    text
}

/// Nobody reads an expectation of 64 KiB.
fn shorten(line: &str) -> String {
    if line.len() < 1000 {
        return line.into();
    }
    let start: String = line.chars().take(40).collect();
    format!("{start}... ({} bytes with the newline)\n", line.len())
}

/// Complaints about what is too long or too strange to be kept as a file.
fn made_complaints() -> Vec<(&'static str, Vec<u8>)> {
    let long = |length| "x".repeat(length);
    vec![
        ("command-too-long", format!("cmd={}\n", long(65_537)).into()),
        ("variable-too-long", format!("cmd=a\nenv=A={}\n", long(65_535)).into()),
        ("unknown-key-too-long", format!("cmd=a\n{}=1\n", long(70_000)).into()),
        ("unknown-value-too-long", format!("cmd=a\nx={}\n", long(70_000)).into()),
        ("path-too-long", format!("cmd=a\ncwd=/{0}\nstdout=file:/{0}\n", long(4095)).into()),
        ("nul", b"cmd=a\nenv=A=\0\n".into()),
        ("nul-in-comment", b"# a\0b\ncmd=a\n".into()),
        ("not-utf-8", b"cmd=a\ndescription=caf\xe9\n".into()),
        ("not-utf-8-in-comment", b"# caf\xe9\ncmd=a\n".into()),
        ("overlong-utf-8", b"cmd=a\xc0\xaf\n".into()),
        ("utf-16", b"\xff\xfec\0m\0d\0=\0a\0\n\0".into()),
        ("mark-in-the-middle", "\u{feff}cmd=a\n\u{feff}cwd=/\n".into()),
        ("carriage-returns", b"cmd=\r\ncwd=tmp\r\n\r\nfoo\r\n".into()),
        ("lone-carriage-returns", b"cmd=a\rcwd=/\rumask=022\rfoo".into()),
        ("no-final-newline", b"cmd=a\nfoo".into()),
        ("only-blanks", b" \t \n\n  ".into()),
        ("command-of-blanks", b"cmd=   \t  \n".into()),
        ("escape-sequence", b"cmd=a\n\x1b[2Jcwd=/\ndescription=\x1b[2J\n".into()),
        ("endless", "x\n".repeat(100_000).into()),
    ]
}

/// Accepted files of the same kinds.
fn made_accepted() -> Vec<(&'static str, Vec<u8>)> {
    let words = |count: usize| (1..=count).map(|n| format!(" {n}")).collect::<String>();
    let smuggler = |length: usize| format!("# {}cmd=smuggled\ncmd=own\n", "x".repeat(length));
    vec![
        ("carriage-returns", b"cmd=a b\r\n\r\n# c\r\nenv=A= \r\n".into()),
        ("byte-order-mark", "\u{feff}cmd=a\r\ncwd=/tmp".into()),
        ("no-final-newline", b"umask=027\ncmd=a".into()),
        ("longest-value", format!("cmd={}\n", "x".repeat(65_536)).into()),
        ("longest-path", format!("cmd=a\ncwd=/{}\n", "x".repeat(4094)).into()),
        ("200-words", format!("cmd=true{}\n", words(200)).into()),
        ("5000-words", format!("cmd=true{}\n", words(5000)).into()),
        ("long-comment-285", smuggler(285).into()),
        ("long-comment-65536", smuggler(65_536).into()),
        ("long-value-smuggler", format!("env=A={}cmd=no\ncmd=own\n", "x".repeat(281)).into()),
    ]
}

#[test]
fn every_complaint_is_worded_as_expected() {
    let cases = cases("complaints", &made_complaints());
    assert!(cases.len() >= 30, "only {} cases", cases.len());
    check("complaints", &cases, complaints);
}

#[test]
fn every_accepted_file_means_what_is_expected() {
    check("accepted", &cases("accepted", &made_accepted()), values);
}

#[test]
fn every_key_has_a_complaint_and_an_accepted_value() {
    let told: String = cases("complaints", &made_complaints())
        .iter()
        .map(|(name, text)| complaints(name, text))
        .collect();
    let accepted: String = cases("accepted", &made_accepted())
        .values()
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect();
    for key in keys::all() {
        assert!(told.contains(&format!(": {}= ", key.name)), "no complaint about {}", key.name);
        assert!(accepted.contains(&format!("\n{}=", key.name)), "no value of {}", key.name);
    }
}

/// The shell itself is the judge of how a command is split.
#[test]
fn commands_are_split_as_the_shell_does() {
    for command in [
        "a  b\tc",
        "''",
        r#"a "" b '' c"#,
        r#"'a b'"c d"e\ f"#,
        r#"'it'\''s' "it's" it\'s"#,
        r#""\a \" \\ \$ \` \' \n" \a \" \\ \$ \n"#,
        r#"'\a \" \\ \$ \` \n'"#,
        r#"a\\ b\\\ c"#,
        r#""a'b"'c"d'"#,
        "caf\u{e9} '\u{1f40e} \u{a0}'",
        "a\\\nb \"c\\\nd\"",
        "'a\nb' \"c\nd\"",
        "-c -- --x=y a=b {a,b} a#b %1 @ ^ + , . : /",
        r#"sh -c 'while :; do echo "$1"; done' x "y""#,
    ] {
        let script = format!("for word in {command}; do printf '%s|' \"$word\"; done");
        #[expect(clippy::disallowed_methods, reason = "the shell is no service")]
        let output = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{command}");
        let ours: String = going::config::grammar::split(command)
            .unwrap()
            .iter()
            .map(|word| format!("{word}|"))
            .collect();
        assert_eq!(ours, String::from_utf8(output.stdout).unwrap(), "{command}");
    }
}

/// The numbers are written down in the parser, which may not ask the system.
#[test]
fn signals_have_the_numbers_of_this_system() {
    let signals = [
        ("HUP", libc::SIGHUP),
        ("INT", libc::SIGINT),
        ("QUIT", libc::SIGQUIT),
        ("ILL", libc::SIGILL),
        ("TRAP", libc::SIGTRAP),
        ("ABRT", libc::SIGABRT),
        ("BUS", libc::SIGBUS),
        ("FPE", libc::SIGFPE),
        ("KILL", libc::SIGKILL),
        ("USR1", libc::SIGUSR1),
        ("SEGV", libc::SIGSEGV),
        ("USR2", libc::SIGUSR2),
        ("PIPE", libc::SIGPIPE),
        ("ALRM", libc::SIGALRM),
        ("TERM", libc::SIGTERM),
        ("STKFLT", libc::SIGSTKFLT),
        ("CHLD", libc::SIGCHLD),
        ("CONT", libc::SIGCONT),
        ("STOP", libc::SIGSTOP),
        ("TSTP", libc::SIGTSTP),
        ("TTIN", libc::SIGTTIN),
        ("TTOU", libc::SIGTTOU),
        ("URG", libc::SIGURG),
        ("XCPU", libc::SIGXCPU),
        ("XFSZ", libc::SIGXFSZ),
        ("VTALRM", libc::SIGVTALRM),
        ("PROF", libc::SIGPROF),
        ("WINCH", libc::SIGWINCH),
        ("IO", libc::SIGIO),
        ("PWR", libc::SIGPWR),
        ("SYS", libc::SIGSYS),
        ("IOT", libc::SIGIOT),
        ("POLL", libc::SIGPOLL),
    ];
    for (name, number) in signals {
        let signal = read_signal(name).map(|signal| i32::from(signal.0));
        assert_eq!(signal, Some(number), "{name}");
    }
}
