//! What goingctl asks and says, word for word, against a going that is made up:
//! it listens on a socket and answers what the case says. A changed sentence must
//! show up in a diff.
//!
//! `GOLDEN_UPDATE=1 cargo test --test ctl_golden` writes the expectations anew;
//! they are right when the diff reads right.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and it starts the program as a person would"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use going::protocol::{Decoder, Message};

/// A case: `args: WORDS`, then what each command is answered, a section
/// `answer COMMAND` for each time it is asked; the last one serves for ever. An
/// answer that ends with `...` goes on some day, and never does.
struct Case {
    name: String,
    words: Vec<String>,
    input: String,
    answers: BTreeMap<String, Vec<String>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ctl")
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "case"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            read_case(name, &fs::read_to_string(&path).unwrap())
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn read_case(name: String, text: &str) -> Case {
    let (head, rest) = text.split_once("\nanswer ").unwrap_or((text, ""));
    let mut words = Vec::new();
    let mut input = String::new();
    for line in head.lines() {
        if let Some(line) = line.strip_prefix("args:") {
            words = going::config::grammar::split(line).unwrap();
        } else if let Some(line) = line.strip_prefix("input: ") {
            input += &format!("{line}\n");
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "{name}: {line}");
        }
    }
    let mut answers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for section in rest.split("\nanswer ").filter(|it| !it.is_empty()) {
        let (command, answer) = section.split_once('\n').unwrap_or((section, ""));
        answers.entry(command.to_owned()).or_default().push(answer.to_owned() + "\n");
    }
    Case { name, words, input, answers }
}

/// What was asked so far, in order, and how often each command.
#[derive(Default)]
struct Asked {
    lines: Vec<String>,
    counts: BTreeMap<String, usize>,
}

/// Answers one client as the case says; hangs up when it has no answer, or one
/// that breaks off.
fn serve(mut stream: UnixStream, answers: &BTreeMap<String, Vec<String>>, asked: &Mutex<Asked>) {
    let mut decoder = Decoder::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok(Some(request)) = decoder.message() else {
            match stream.read(&mut buffer) {
                Ok(length @ 1..) => decoder.feed(&buffer[..length]),
                _ => return,
            }
            continue;
        };
        let command = request.get("command").unwrap().to_owned();
        let pairs = request.pairs().map(|(key, value)| format!("{key}={value}"));
        let line = pairs.collect::<Vec<_>>().join(" ");
        let number = {
            let mut asked = asked.lock().unwrap();
            // How often it is asked meanwhile depends on the machine.
            if !asked.lines.contains(&line) {
                asked.lines.push(line);
            }
            let count = asked.counts.entry(command.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let Some(answers) = answers.get(&command) else { return };
        let answer = &answers[number.min(answers.len() - 1)];
        let (answer, is_endless) = match answer.trim_end().strip_suffix("...") {
            Some(start) => (start, true),
            None => (answer.as_str(), false),
        };
        let _ = stream.write_all(answer.as_bytes());
        if !is_endless && !answer.contains("result=") {
            return;
        }
    }
}

/// All that the program does in a case.
fn outcome(case: &Case) -> String {
    let run = std::env::temp_dir().join(format!("going-golden-{}", std::process::id()));
    fs::create_dir_all(&run).unwrap();
    let socket = run.join("control");
    let _ = fs::remove_file(&socket);
    let asked = Arc::new(Mutex::new(Asked::default()));
    if !case.answers.is_empty() {
        let listener = UnixListener::bind(&socket).unwrap();
        let (answers, asked) = (case.answers.clone(), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, asked) = (answers.clone(), Arc::clone(&asked));
                thread::spawn(move || serve(stream.unwrap(), &answers, &asked));
            }
        });
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_goingctl"))
        .arg("-r")
        .arg(&run)
        .args(&case.words)
        .env_remove("NO_COLOR")
        .env("HOME", &run)
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(case.input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let text = text.replace(run.to_str().unwrap(), "RUN").replace('\x1b', "^[");
        text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
    };
    let mut told = String::new();
    for line in &asked.lock().unwrap().lines {
        told += &format!("asked: {line}\n");
    }
    told += &format!("exit: {}\n", output.status.code().unwrap());
    told += &format!("--- stdout\n{}", text(&output.stdout));
    told += &format!("--- stderr\n{}", text(&output.stderr));
    let _ = fs::remove_dir_all(&run);
    told
}

#[test]
fn questions_and_answers_are_as_expected() {
    let is_update = std::env::var_os("GOLDEN_UPDATE").is_some();
    let mut failures = String::new();
    let cases = cases();
    assert!(cases.len() > 30, "only {} cases found", cases.len());
    for case in &cases {
        let path = folder().join(&case.name).with_extension("expected");
        let actual = outcome(case);
        if is_update {
            fs::write(&path, &actual).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if actual != expected {
            failures += &format!("{}, expected:\n{expected}but is:\n{actual}\n", case.name);
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn cases_are_read_as_they_are_meant() {
    let text = "# why\nargs: status 'a b'\ninput: x\n\nanswer status\nresult=ok\n\nanswer status\n";
    let case = read_case("x".to_owned(), text);
    assert_eq!(case.words, ["status", "a b"]);
    assert_eq!(case.input, "x\n");
    assert_eq!(case.answers["status"], ["result=ok\n\n", "\n"]);
    assert_eq!(Message::parse(b"result=ok\n\n").unwrap().get("result"), Some("ok"));
}
