//! The house is checked by machine: imports, unsafe code, sizes, and that what
//! the manual says is what the program does. Each rule is also shown made-up
//! source that breaks it, for a rule that cannot fail is no rule.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test that cannot go on panics, and it starts the program as a person would"
)]

#[path = "house/rules.rs"]
mod rules;
#[path = "house/source.rs"]
mod source;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use going::config::keys::{self, Effect};
use rules::ManualKey;
use source::Source;

fn read(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below `folder` that end in `.rs`, by path.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder);
        for entry in fs::read_dir(path).expect("a folder of source") {
            let entry = entry.expect("an entry");
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type().expect("its type").is_dir() {
                // What cargo builds below tests/fuzz is not ours.
                folders.extend((!path.ends_with("/target")).then_some(path));
            } else if path.ends_with(".rs") {
                found.push(Source { text: read(&path), path });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn program_sources() -> Vec<Source> {
    rules::without_test_files(sources("src"))
}

fn made_up(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

fn assert_clean(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn every_source(rule: fn(&Source) -> Vec<String>) {
    assert_clean(&program_sources().iter().flat_map(rule).collect::<Vec<String>>());
}

fn going(arguments: &[&str]) -> Output {
    let binary = std::env::var_os("GOING_BIN");
    let binary = binary.unwrap_or_else(|| OsString::from(env!("CARGO_BIN_EXE_going")));
    Command::new(binary).args(arguments).output().expect("going runs")
}

#[test]
fn imports_go_one_way() {
    every_source(rules::imports);
}

#[test]
fn unsafe_code_is_in_one_place() {
    every_source(rules::unsafety);
}

#[test]
fn files_and_functions_are_short() {
    every_source(rules::lengths);
}

#[test]
fn the_core_is_small() {
    assert_clean(&rules::core_size(&program_sources()));
}

#[test]
fn every_file_says_what_it_is_for() {
    let all = [sources("src"), sources("tests")].concat();
    assert_clean(&all.iter().flat_map(rules::heads).collect::<Vec<String>>());
}

#[test]
fn flags_are_the_same_in_program_help_and_manual() {
    let output = going(&["--help"]);
    assert!(output.status.success(), "{output:?}");
    let program = program_sources();
    let program = program.iter().filter(|source| source.path.starts_with("src/daemon/"));
    let program = program.flat_map(|source| rules::flags_of_source(&source.text)).collect();
    let help = rules::flags_of_help(&String::from_utf8_lossy(&output.stdout));
    let manual = rules::flags_of_manual(&read("man/going.8"));
    assert!(manual.contains("--check"), "nothing found in the manual: {manual:?}");
    let program = ("the program", &program);
    assert_clean(&rules::differences(program, ("--help", &help)));
    assert_clean(&rules::differences(program, ("man/going.8", &manual)));
}

#[test]
fn flags_of_the_other_programs_are_the_same_in_help_and_manual() {
    let mut programs = vec![("log", env!("CARGO_BIN_EXE_going-log"))];
    // Named even where the feature is off that builds it.
    let web = option_env!("CARGO_BIN_EXE_going-web").filter(|it| Path::new(it).exists());
    programs.extend(web.map(|binary| ("web", binary)));
    let alert = option_env!("CARGO_BIN_EXE_going-alert").filter(|it| Path::new(it).exists());
    programs.extend(alert.map(|binary| ("alert", binary)));
    for (name, binary) in programs {
        let output = Command::new(binary).arg("--help").output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let folder = format!("src/{name}/");
        let program = program_sources();
        let program = program.iter().filter(|source| source.path.starts_with(&folder));
        let program = program.flat_map(|source| rules::flags_of_source(&source.text)).collect();
        let help = rules::flags_of_help(&String::from_utf8_lossy(&output.stdout));
        let page = format!("man/going-{name}.8");
        let manual = rules::flags_of_manual(&read(&page));
        let program = ("the program", &program);
        assert_clean(&rules::differences(program, ("--help", &help)));
        assert_clean(&rules::differences(program, (&page, &manual)));
    }
}

#[test]
fn keys_are_the_same_in_program_and_manual() {
    let page = rules::keys_of_manual(&read("man/going.5"));
    let told = keys::all().map(|key| ManualKey {
        name: key.name.to_owned(),
        default: key.about().default.to_owned(),
        is_restart: key.effect == Effect::Restart,
        repeats: key.repeats,
    });
    let mut wrong: Vec<String> =
        told.flat_map(|key| rules::key_against_manual(&key, &page)).collect();
    let unknown = page.iter().filter(|found| keys::all().all(|key| key.name != found.name));
    wrong.extend(unknown.map(|found| format!("man/going.5: {}= is no key", found.name)));
    let readme = read("README.md");
    let untold = keys::all().filter(|key| !readme.contains(&format!("`{}`", key.name)));
    wrong.extend(untold.map(|key| format!("README.md: {}= is not in the table", key.name)));
    assert_clean(&wrong);
}

#[cfg(feature = "alert")]
#[test]
fn keys_of_alerts_are_the_same_in_program_and_manual() {
    let page = rules::keys_of_manual(&read("man/going-alert.8"));
    let told = going::alert::keys::KEYS.iter().map(|key| ManualKey {
        name: key.name.to_owned(),
        default: key.default.to_owned(),
        is_restart: false,
        repeats: key.repeats,
    });
    let told: Vec<ManualKey> = told.collect();
    let missing = told.iter().filter(|key| !page.contains(key)).map(|key| format!("{key:?}"));
    let unknown = page.iter().filter(|key| !told.contains(key)).map(|key| format!("not {key:?}"));
    assert_clean(&missing.chain(unknown).collect::<Vec<String>>());
}

/// Copies, because root's going refuses files of another user, which those of a
/// checkout may be.
fn check_copies(folder: &Path) -> Output {
    let copies = Path::new(env!("CARGO_TARGET_TMPDIR")).join("house");
    // Two folders of the same name are copied at the same time.
    let whole = folder.to_string_lossy().replace('/', "-");
    let copies = copies.join(whole);
    let _ = fs::remove_dir_all(&copies);
    fs::create_dir_all(&copies).expect("a folder for copies");
    fs::set_permissions(&copies, fs::Permissions::from_mode(0o755)).expect("its mode");
    for entry in fs::read_dir(folder).expect("the folder") {
        let entry = entry.expect("an entry");
        let copy = copies.join(entry.file_name());
        fs::copy(entry.path(), &copy).expect("a copy");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).expect("its mode");
    }
    going(&["--check", "-d", copies.to_str().expect("a path in UTF-8")])
}

#[test]
fn examples_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/going.d");
    assert!(fs::read_dir(&folder).expect("the examples").count() >= 5);
    let output = check_copies(&folder);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
fn every_key_has_its_memory_measured() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/going.d");
    let output = check_copies(&folder);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let files = fs::read_dir(&folder).expect("the services").map(|it| it.expect("one").path());
    let text: String = files.map(|it| fs::read_to_string(it).expect("a file")).collect();
    for name in keys::names() {
        let is_used = text.lines().any(|line| line.split_once('=').is_some_and(|it| it.0 == name));
        assert!(is_used, "no file in tests/bench/going.d uses {name}=, so nobody measures it");
    }
}

#[test]
fn a_bad_example_would_be_seen() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bad-examples");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("web"), "cmmd=sleep 1\n").expect("a file");
    assert_eq!(check_copies(&folder).status.code(), Some(65));
}

/// What `rule` says of a file in `path` with this text.
fn said(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> String {
    rule(&made_up(path, text)).join("\n")
}

#[test]
fn a_wrong_import_is_seen() {
    let wrong = |path, text| said(rules::imports, path, text);
    let daemon = "use crate::daemon::Loop;";
    assert_eq!(wrong("src/config/a.rs", daemon), "src/config/a.rs:1: config may not import daemon");
    assert_ne!(wrong("src/config/mod.rs", "use super::supervise::State;"), "");
    assert_ne!(wrong("src/config/a.rs", "use super::super::supervise::State;"), "");
    assert_ne!(wrong("src/config/a.rs", "fn f() {\n    crate::sys::fork();\n}"), "");
    assert_ne!(wrong("src/supervise/a.rs", "use crate::{config::Spec, sys::reap};"), "");
    assert_ne!(wrong("src/ctl/mod.rs", "use crate::daemon::Options;"), "");
    assert_ne!(wrong("src/sys/mod.rs", daemon), "");
    assert_ne!(wrong("src/protocol.rs", "use crate::sys;"), "");
    assert_ne!(wrong("src/new/mod.rs", ""), "");
    assert_eq!(wrong("src/daemon/a.rs", "use crate::{config, sys::{self, child}};"), "");
    assert_eq!(wrong("src/config/a.rs", "use super::spec::Spec;\nuse crate::config::keys;"), "");
    assert_eq!(wrong("src/bin/going.rs", "fn main() { going::daemon::main() }"), "");
}

#[test]
fn an_impure_core_is_seen() {
    let wrong = |text| said(rules::imports, "src/supervise/a.rs", text);
    for text in [
        "use std::fs::File;",
        "use std::{fmt, net};",
        "use std::{fmt, sync::{Arc, Weak}, process::{self}};",
        "use ::std::thread;",
        "fn f() { let _ = std::env::var(\"PATH\"); }",
        "use libc;",
        "use nix::unistd;",
        "fn f() { mio::Poll::new(); }",
        "use std::time::{Duration, Instant};\nfn f() { Instant::now(); }",
        "fn f() { println!(\"hello\"); }",
    ] {
        assert_ne!(wrong(text), "", "{text}");
    }
    for text in [
        "use std::{fmt, time::Duration};",
        "// use std::fs;\n/* libc::fork() */\nfn f() -> &'static str { \"nix::unistd\" }",
        "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
        "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;\n",
    ] {
        assert_eq!(wrong(text), "", "{text}");
    }
    assert_eq!(said(rules::imports, "src/daemon/a.rs", "use std::fs;"), "");
}

#[test]
fn unsafe_outside_of_its_place_is_seen() {
    let text = "//! Safe.\nfn f() {\n    unsafe { g() }\n}\n";
    let wrong = said(rules::unsafety, "src/daemon/a.rs", text);
    assert_eq!(wrong, "src/daemon/a.rs:3: unsafe outside of src/sys");
    assert_ne!(said(rules::unsafety, "src/ctl/a.rs", "#![allow(unsafe_code)]"), "");
    assert_eq!(said(rules::unsafety, "src/sys/a.rs", text), "");
    assert_eq!(said(rules::unsafety, "src/daemon/a.rs", "// unsafe\nfn f() { \"unsafe\"; }"), "");
}

#[test]
fn what_is_too_long_is_seen() {
    let wrong = |text: &str| said(rules::lengths, "src/daemon/a.rs", text);
    let body = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines));
    assert_eq!(wrong(&body(58)), "");
    assert_eq!(wrong(&body(59)), "src/daemon/a.rs:1: f has 61 lines, more than 60");
    assert_eq!(wrong(&format!("#[cfg(test)]\nmod tests {{\n{}}}\n", body(60))), "");
    let comments = "// Long.\n".repeat(500);
    assert_eq!(wrong(&comments), "");
    assert_eq!(wrong(&format!("{comments}\n")), "src/daemon/a.rs:1: 501 lines, more than 500");
    let tests = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn t() {}\n}\n";
    assert_eq!(wrong(&format!("{comments}{tests}")), "");
}

#[test]
fn a_core_that_grows_is_seen() {
    let core = |lines: usize| {
        let text = "    g(\"//\"); // Why.\n\n".repeat(lines);
        ["src/supervise/service.rs", "src/daemon/mod.rs", "src/sys/child.rs"]
            .map(|path| made_up(path, &text))
    };
    assert_eq!(rules::core_size(&core(166)).join("\n"), "");
    assert_eq!(
        rules::core_size(&core(167)).join("\n"),
        "the core has 501 lines, more than 500: src/supervise/service.rs 167, \
         src/daemon/mod.rs 167, src/sys/child.rs 167"
    );
    assert_eq!(rules::core_size(&core(1)[..2]).len(), 1);
}

#[test]
fn a_file_without_a_head_is_seen() {
    assert_eq!(said(rules::heads, "src/a.rs", "//! What it is for.\n"), "");
    assert_eq!(said(rules::heads, "src/a.rs", "use a;\n"), "src/a.rs:1: does not open with //!");
}

#[test]
fn files_of_tests_are_known_by_their_declaration() {
    let declares = made_up(
        "src/a/service.rs",
        "#[cfg(test)]\n#[path = \"service_tests.rs\"]\nmod tests;\n#[cfg(test)]\nmod walk;\n",
    );
    let names = ["service_tests.rs", "service/walk.rs", "walk.rs"];
    let files = names.map(|name| made_up(&format!("src/a/{name}"), ""));
    let rest = rules::without_test_files([vec![declares], files.into()].concat());
    let rest: Vec<&str> = rest.iter().map(|source| &*source.path).collect();
    assert_eq!(rest, ["src/a/service.rs", "src/a/walk.rs"]);
}

#[test]
fn a_flag_that_is_not_told_is_seen() {
    let program = rules::flags_of_source(
        "match a {\n    Short('d') | Long(\"dir\") => b(),\n    Long(\"check\") => c(),\n}",
    );
    let help = rules::flags_of_help("usage: going [-d|--dir DIR] - on-going (--new=N)\n");
    let manual = rules::flags_of_manual(".Op Fl d | e\nThe Fl x\n.It Fl -dir Ar d , Fl -check\n");
    let differences = |one: (&str, _), other: (&str, _)| rules::differences(one, other).join("\n");
    assert_eq!(
        differences(("the program", &program), ("--help", &help)),
        "--check is in the program but not in --help\n--new is in --help but not in the program"
    );
    assert_eq!(
        differences(("the program", &program), ("the manual", &manual)),
        "-e is in the manual but not in the program"
    );
}

#[test]
fn a_key_that_is_not_told_is_seen() {
    let page = "\
.Bl -tag -width Ds
.It Ic backoff Ns = Ns Ar duration
.Pp
Default
.Cm 1s ;
a change applies at once.
.It Ic env Ns = Ns Ar name
May be repeated.
.Pp
No default;
a change restarts the service.
.El
";
    let page = rules::keys_of_manual(page);
    let key = |name: &str, default: &str, is_restart, repeats| ManualKey {
        name: name.to_owned(),
        default: default.to_owned(),
        is_restart,
        repeats,
    };
    let wrong = |key: ManualKey| rules::key_against_manual(&key, &page);
    assert_eq!(wrong(key("backoff", "1s", false, false)), Vec::<String>::new());
    assert_eq!(wrong(key("env", "", true, true)), Vec::<String>::new());
    assert_eq!(wrong(key("backoff", "2s", false, false)).len(), 1);
    assert_eq!(wrong(key("backoff", "1s", true, false)).len(), 1);
    assert_eq!(wrong(key("backoff", "1s", false, true)).len(), 1);
    assert_eq!(wrong(key("strikes", "0", false, false)).len(), 1);
    assert_eq!(page.len(), 2);
}
