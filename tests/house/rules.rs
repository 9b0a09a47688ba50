//! The rules of the house, each a function from source to what is wrong with it,
//! as lines `FILE:LINE: message`. None may read files: the tests hand in the
//! real source, and made-up source to see each rule fail.

use std::collections::BTreeSet;

use super::source::{
    Literals, Source, functions, line, own_code, own_length, paths, test_modules, tokens,
};

const FILE_MAX: usize = 500;
const FUNCTION_MAX: usize = 60;
const CORE_MAX: usize = 500;

/// The life of a service, the loop, and the child: what the original did, in
/// what the original took for it.
const CORE: [&str; 3] = ["src/supervise/service.rs", "src/daemon/mod.rs", "src/sys/child.rs"];

/// From the ground up; each may import what is below it, and no neighbor.
const LAYERS: [&[&str]; 6] = [
    &["config"],
    &["supervise"],
    &["protocol"],
    &["client"],
    &["daemon", "ctl", "log", "alert", "web"],
    &["bin"],
];

/// These decide and do not act, so they may not even know how.
const PURE: [&str; 3] = ["config", "supervise", "protocol"];

/// What stands between the pure and the world.
const IMPURE_CRATES: [&str; 5] = ["libc", "nix", "mio", "inotify", "lexopt"];
const IMPURE_MODULES: [&str; 7] = ["fs", "net", "process", "env", "thread", "io", "os"];
const IMPURE_NAMES: [&str; 2] = ["Instant", "SystemTime"];
const IMPURE_MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// The sources without those which are tests as a whole.
pub fn without_test_files(sources: Vec<Source>) -> Vec<Source> {
    let tests: BTreeSet<String> = sources.iter().flat_map(test_modules).collect();
    sources.into_iter().filter(|source| !tests.contains(&source.path)).collect()
}

/// `src/config/mod.rs` and `src/config.rs` are both of layer `config`.
fn layer_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split(['/', '.']).next().unwrap_or_default()
}

/// How many modules a file is inside of, the crate itself not counted.
fn depth_of(path: &str) -> usize {
    let inside = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    inside.split('/').filter(|part| *part != "mod").count()
}

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|layers| layers.contains(&layer))
}

fn may_import(from: &str, to: &str) -> bool {
    if from == to {
        return true;
    }
    match (from, to) {
        (_, "sys") => !PURE.contains(&from),
        // It speaks in the words of the core, but nobody's above that.
        // Who serves or is served by going does not ask it.
        ("daemon" | "log", "client") => false,
        ("sys", _) => ["config", "supervise"].contains(&to),
        _ => rank(from).zip(rank(to)).is_some_and(|(from, to)| from > to),
    }
}

/// The layer which a path of a file in `layer` leads to, if it leaves the file's own module.
fn target<'a>(source: &Source, layer: &str, path: &[&'a str]) -> Option<&'a str> {
    match path[0] {
        // In a program of its own, `crate` is the program.
        "crate" if layer != "bin" => path.get(1).copied(),
        "going" => path.get(1).copied(),
        "super" => {
            let up = path.iter().take_while(|word| **word == "super").count();
            if up >= depth_of(&source.path) { path.get(up).copied() } else { None }
        }
        _ => None,
    }
}

/// Imports go one way, and the pure know nothing of the world.
pub fn imports(source: &Source) -> Vec<String> {
    let layer = layer_of(&source.path);
    if layer == "lib" {
        return Vec::new();
    }
    let code = own_code(&source.text, Literals::Blank);
    let mut wrong = Vec::new();
    let mut complain = |at: usize, message: String| {
        wrong.push(format!("{}:{}: {message}", source.path, line(&source.text, at)));
    };
    if layer != "sys" && rank(layer).is_none() {
        complain(0, format!("the layer {layer} has no place in tests/house/rules.rs"));
    }
    for (at, path) in paths(&tokens(&code)) {
        let target = target(source, layer, &path);
        if let Some(target) = target.filter(|target| !may_import(layer, target)) {
            complain(at, format!("{layer} may not import {target}"));
        }
        let is_impure = IMPURE_CRATES.contains(&path[0])
            // core has addresses in its net, but no network, and none of the others.
            || path[0] == "std"
                && path.get(1).is_some_and(|module| IMPURE_MODULES.contains(module))
            || path.iter().any(|word| IMPURE_NAMES.contains(word))
            || path.len() == 1 && IMPURE_MACROS.contains(&path[0]);
        if PURE.contains(&layer) && is_impure {
            complain(at, format!("{layer} is pure and may not use {}", path.join("::")));
        }
    }
    wrong
}

/// All that is unsafe is in `src/sys`.
pub fn unsafety(source: &Source) -> Vec<String> {
    if layer_of(&source.path) == "sys" {
        return Vec::new();
    }
    let code = own_code(&source.text, Literals::Blank);
    let unsafe_tokens = tokens(&code).into_iter();
    unsafe_tokens
        .filter(|token| ["unsafe", "unsafe_code"].contains(&token.word))
        .map(|token| {
            format!("{}:{}: unsafe outside of src/sys", source.path, line(&code, token.at))
        })
        .collect()
}

/// Files and functions one can keep in mind.
pub fn lengths(source: &Source) -> Vec<String> {
    let code = own_code(&source.text, Literals::Blank);
    let mut wrong = Vec::new();
    let length = own_length(&source.text);
    if length > FILE_MAX {
        wrong.push(format!("{}:1: {length} lines, more than {FILE_MAX}", source.path));
    }
    for (name, at, length) in functions(&code) {
        if length > FUNCTION_MAX {
            let line = line(&code, at);
            wrong.push(format!(
                "{}:{line}: {name} has {length} lines, more than {FUNCTION_MAX}",
                source.path
            ));
        }
    }
    wrong
}

/// The size of the core, in lines without comments, blank lines and tests.
pub fn core_size(sources: &[Source]) -> Vec<String> {
    let lines = |source: &Source| {
        let code = own_code(&source.text, Literals::Keep);
        code.lines().filter(|line| !line.trim().is_empty()).count()
    };
    let mut wrong = Vec::new();
    let mut sum = 0;
    let mut parts = Vec::new();
    for path in CORE {
        match sources.iter().find(|source| source.path == path) {
            Some(source) => {
                sum += lines(source);
                parts.push(format!("{path} {}", lines(source)));
            }
            None => wrong.push(format!("{path}:1: is not there, but belongs to the core")),
        }
    }
    if sum > CORE_MAX {
        wrong.push(format!("the core has {sum} lines, more than {CORE_MAX}: {}", parts.join(", ")));
    }
    wrong
}

/// Every file says at its head what it is for.
pub fn heads(source: &Source) -> Vec<String> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![format!("{}:1: does not open with //!", source.path)]
}

/// Options as the source has them: `Short('d') | Long("dir")` of lexopt.
pub fn flags_of_source(text: &str) -> BTreeSet<String> {
    let code = own_code(text, Literals::Keep);
    let between = |open: &'static str, close: char, dashes: &'static str| {
        let parts: Vec<&str> = code.split(open).skip(1).collect();
        parts.into_iter().filter_map(move |part| {
            part.split_once(close).map(|(name, _)| format!("{dashes}{name}"))
        })
    };
    let short = between("Short('", '\'', "-");
    short.chain(between("Long(\"", '"', "--")).collect()
}

/// Options as `--help` tells them.
pub fn flags_of_help(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    words
        .filter(|word| word.trim_start_matches('-').len() < word.len() && word.len() > 1)
        .filter(|word| word.starts_with('-') && !word.ends_with('-'))
        .map(str::to_owned)
        .collect()
}

/// Options as a manual page marks them up: `.Fl d`, `.Fl -dir`, `.Op Fl v | q`.
pub fn flags_of_manual(text: &str) -> BTreeSet<String> {
    let mut flags = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix('.')) {
        let mut words = line.split_whitespace().peekable();
        while let Some(word) = words.next() {
            if word != "Fl" {
                continue;
            }
            while let Some(flag) = words.next() {
                flags.insert(format!("-{flag}"));
                if words.next_if_eq(&"|").is_none() {
                    break;
                }
            }
        }
    }
    flags
}

/// What one of two lists has and the other has not.
pub fn differences(
    one: (&str, &BTreeSet<String>),
    other: (&str, &BTreeSet<String>),
) -> Vec<String> {
    let lacks = |one: (&str, &BTreeSet<String>), other: (&str, &BTreeSet<String>)| {
        let (name, has) = one;
        let lost = has.difference(other.1);
        lost.map(|it| format!("{it} is in {name} but not in {}", other.0)).collect::<Vec<String>>()
    };
    [lacks(one, other), lacks(other, one)].concat()
}

/// What a manual page says of one key.
#[derive(Debug, PartialEq, Eq)]
pub struct ManualKey {
    /// Its name.
    pub name: String,
    /// The default, if there is one.
    pub default: String,
    /// Whether a change restarts the service.
    pub is_restart: bool,
    /// Whether it may be repeated.
    pub repeats: bool,
}

/// The keys of going.5, from the items `.It Ic name Ns = ...` up to the next one.
pub fn keys_of_manual(text: &str) -> Vec<ManualKey> {
    let items = text.split("\n.It Ic ").skip(1);
    let keys = items.filter_map(|item| {
        let (name, rest) = item.split_once(" Ns = Ns ")?;
        let default =
            rest.split_once("\nDefault\n.Cm ").and_then(|(_, rest)| rest.split_once(" ;"));
        Some(ManualKey {
            name: name.to_owned(),
            default: default.map_or("", |(default, _)| default).to_owned(),
            is_restart: rest.contains("\na change restarts the service."),
            repeats: rest.contains("\nMay be repeated"),
        })
    });
    keys.collect()
}

/// What is wrong with the manual's account of a key.
pub fn key_against_manual(key: &ManualKey, page: &[ManualKey]) -> Vec<String> {
    let Some(found) = page.iter().find(|found| found.name == key.name) else {
        return vec![format!("man/going.5: {}= is missing", key.name)];
    };
    if found == key {
        return Vec::new();
    }
    vec![format!("man/going.5: {found:?}, but the program has {key:?}")]
}
