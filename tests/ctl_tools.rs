//! What goingctl does besides orders: figures for collectors, going's own
//! figures, checks without a going, commands from the PATH, completion.

#![expect(clippy::disallowed_methods, reason = "a shell that completes is started as it is")]

#[path = "ctl/mod.rs"]
mod client;
mod common;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use client::{command, ctl, goingctl, good, json, wait_ready};
use common::{Place, Signal, has, send, wait_until};

const SLEEP: &str = "cmd=sleep 100000\n";

/// Samples by name and labels, read by the rules of OpenMetrics: families in one
/// piece and announced, `_total` for counters, units in names, `# EOF` at the end
/// and nowhere else.
fn read_metrics(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("no # EOF at the end")?;
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut family = ("", "");
    let mut samples = BTreeMap::new();
    for line in body.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "TYPE", name, kind] => {
                if kinds.insert(name, kind).is_some() {
                    return Err(format!("{name} in two pieces"));
                }
                if !["gauge", "counter"].contains(&kind) {
                    return Err(format!("{kind} is not known to all collectors"));
                }
                family = (name, kind);
            }
            ["#", "UNIT", name, unit]
                if name == family.0 && name.ends_with(&format!("_{unit}")) => {}
            ["#", "HELP", name, help] if name == family.0 && help.ends_with('.') => {}
            ["#", ..] => return Err(format!("misplaced: {line}")),
            _ => {
                let (key, value) = line.rsplit_once(' ').ok_or("no value")?;
                let name = key.split('{').next().unwrap_or(key);
                let suffix = if family.1 == "counter" { "_total" } else { "" };
                if name != format!("{}{suffix}", family.0) {
                    return Err(format!("{name} is not of the family {family:?}"));
                }
                let labels = key.strip_prefix(name).unwrap_or(key);
                let is_quoted = labels.starts_with('{') && labels.ends_with("\"}");
                if !labels.is_empty() && (!is_quoted || labels.matches('"').count() % 2 != 0) {
                    return Err(format!("labels: {labels}"));
                }
                let value: f64 = value.parse().map_err(|_| format!("value: {line}"))?;
                if samples.insert(key.to_owned(), value).is_some() {
                    return Err(format!("twice: {key}"));
                }
            }
        }
    }
    Ok(samples)
}

#[test]
fn metrics_are_figures_of_all_services() {
    let place = Place::new();
    place.service("web", SLEEP);
    place.service("crash", "cmd=false\nbackoff=1h\nbackoff-max=1h\n");
    let mut going = place.start(&[]);
    going.wait_for_all(&["web: started *", "crash * quarantined *"]);
    let text = good(&place, &["metrics"]);
    let samples = read_metrics(&text).unwrap();
    let sample = |key: &str| *samples.get(key).unwrap_or_else(|| panic!("{key} in:\n{text}"));
    assert_eq!(sample("going_up"), 1.0);
    assert_eq!(sample("going_services"), 2.0);
    assert_eq!(sample("going_services_alive"), 1.0);
    assert_eq!(sample("going_service_up{service=\"web\"}"), 1.0);
    assert_eq!(sample("going_service_up{service=\"crash\"}"), 0.0);
    assert_eq!(sample("going_service_state{service=\"crash\",state=\"quarantined\"}"), 1.0);
    assert_eq!(sample("going_service_starts_total{service=\"web\"}"), 1.0);
    assert_eq!(sample("going_service_strikes{service=\"crash\"}"), 1.0);
    assert!(sample("going_service_next_seconds{service=\"crash\"}") > 1000.0);
    assert!(sample("going_service_memory_bytes{service=\"web\"}") > 1000.0);
    assert!(sample("going_memory_peak_bytes") > 1000.0);
    going.stop();
}

#[test]
fn metrics_that_break_the_rules_are_seen() {
    let good = "# TYPE a counter\n# HELP a It.\na_total{b=\"c\"} 1\n# EOF\n";
    assert_eq!(read_metrics(good).map(|samples| samples.len()), Ok(1));
    for (from, to) in [
        ("# EOF\n", ""),
        ("a_total", "a"),
        ("counter", "info"),
        ("\"c\"", "\"c"),
        (" 1\n", " x\n"),
        ("# HELP a It.\n", "# HELP b It.\n"),
        ("# EOF", "# TYPE a counter\n# EOF"),
        ("# HELP", "# UNIT a seconds\n# HELP"),
        ("# EOF", "a_total{b=\"c\"} 2\n# EOF"),
    ] {
        assert!(read_metrics(&good.replace(from, to)).is_err(), "{to}");
    }
}

/// R174: a collector may come at any moment, and going may not be there.
#[test]
fn metrics_in_a_file_are_complete_at_every_moment() {
    let place = Place::new();
    place.service("web", SLEEP);
    let mut going = place.start(&[]);
    going.wait_started("web");
    let file = place.path("going.prom");
    let mut child =
        command(&place, &["metrics", "--file", &file, "--every", "1ms"]).spawn().unwrap();
    wait_until("the file", || fs::metadata(&file).is_ok());
    for _ in 0..200 {
        let samples = read_metrics(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(samples["going_up"], 1.0);
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    going.stop();
    wait_until("the news that there is no going", || {
        read_metrics(&fs::read_to_string(&file).unwrap()).unwrap()["going_up"] == 0.0
    });
    send(i32::try_from(child.id()).unwrap(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let left = fs::read_dir(&place.dir).unwrap().flatten().map(|entry| entry.file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with(".going.prom")));
    assert_eq!(ctl(&place, &["metrics"]).code, 4);
    assert_eq!(ctl(&place, &["metrics", "--every", "1s"]).code, 2, "where to?");
}

/// As root, `--file /dev/null` would leave a file there instead.
#[test]
fn metrics_follow_links_and_replace_nothing_but_files() {
    let place = Place::new();
    place.service("web", SLEEP);
    let mut going = place.start(&[]);
    going.wait_started("web");
    let pipe = place.path("pipe");
    assert!(common::run(&["mkfifo", &pipe]).status.success());
    place.write("real.prom", "");
    symlink("real.prom", place.dir.join("link.prom")).unwrap();
    symlink("pipe", place.dir.join("link.pipe")).unwrap();
    for name in ["pipe", "link.pipe"] {
        let said = ctl(&place, &["metrics", "--file", &place.path(name)]);
        assert_eq!(said.code, 1, "{name}: {said:?}");
        assert!(said.err.contains("it is not a regular file"), "{said:?}");
        assert!(!fs::metadata(&pipe).unwrap().is_file(), "{name} was replaced");
    }
    assert_eq!(ctl(&place, &["metrics", "--file", &place.path("link.prom")]).code, 0);
    assert!(fs::symlink_metadata(place.dir.join("link.prom")).unwrap().is_symlink());
    assert!(read_metrics(&place.read("real.prom")).is_ok());
    going.stop();
}

/// R180.
#[test]
fn own_figures_are_those_of_the_kernel() {
    let place = Place::new();
    place.service("web", SLEEP);
    let mut going = place.start(&[]);
    going.wait_started("web");
    let figures = json(&place, &["self"]);
    assert_eq!(figures["pid"], going.pid);
    assert_eq!((&figures["services"], &figures["alive"]), (&1.into(), &1.into()), "{figures}");
    let peak = common::status(going.pid, "VmPeak");
    assert_eq!(format!("{} kB", figures["vm_peak_kb"]), peak);
    assert_eq!(figures["vm_peak_budget_kb"], 1024);
    let text = good(&place, &["self"]);
    assert!(text.contains(&format!("peak of address space   {peak} of 1024 kB: ")), "{text}");
    assert!(text.contains("private per service"), "{text}");
    going.stop();
}

#[test]
fn files_are_checked_without_a_going() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1\nstrikes=3\njitter=0\nburst=none\n");
    let file = place.path("going.d/web");
    assert_eq!(
        good(&place, &["check", &file]),
        format!(
            "{file}: good\n  A run shorter than 5s is a strike, and it is tried again after 1s, \
             2s, then given up:\n  3 strikes in a row, the last one 3s after the first.\n"
        )
    );
    place.service("bad", "cmd=sleep 1\ncmmd=x\numask=9\n");
    let bad = place.path("going.d/bad");
    let said = ctl(&place, &["check", &bad, &file]);
    assert_eq!(said.code, 1);
    let first = format!("{bad}:2: unknown key \"cmmd\"; did you mean \"cmd\"?\n{bad}:3: umask= is");
    assert!(said.out.starts_with(&first), "{said:?}");
    assert!(said.out.contains(&format!("{file}: good\n")), "{said:?}");
    assert_eq!(ctl(&place, &["check", "/no/such/file"]).code, 1);
    // A whole directory is looked at by going itself.
    let folder = place.path("going.d");
    for args in [&["check", "-d", &folder][..], &["check", &folder]] {
        let said = ctl(&place, args);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.out.contains(&format!("{bad}:2: unknown key")), "{said:?}");
    }
    place.remove("bad");
    assert_eq!(ctl(&place, &["check", "-d", &folder]).code, 0);
}

#[test]
fn check_and_new_use_the_directory_of_the_running_going() {
    let place = Place::new();
    place.service("bad", "cmmd=x\n");
    let mut going = place.start_words(&[
        "sh",
        "-c",
        "cd \"$1\" && shift && exec \"$@\"",
        "sh",
        &place.path(""),
        &common::program(),
        "-d",
        "going.d",
        "--report",
        "stderr",
    ]);
    wait_ready(&place);
    let said = ctl(&place, &["check"]);
    assert!(said.out.contains("going.d/bad:1: unknown key"), "{said:?}");
    good(&place, &["new", "web", "--", "sleep", "1000"]);
    going.wait_started("web");
    going.stop();
}

#[test]
fn programs_in_the_path_are_commands() {
    let place = Place::new();
    let (tool, run) = (place.path("goingctl-hello"), place.path("run"));
    fs::write(&tool, "#!/bin/sh\necho \"$# $1 $2 $GOINGCTL_SOCKET\"\nexit 7\n").unwrap();
    fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place.dir.display(), std::env::var("PATH").unwrap());
    let output = command(&place, &["hello", "a b", "--json"]).env("PATH", &path).output().unwrap();
    let said: client::Said = output.into();
    assert_eq!((said.code, said.out), (7, format!("2 a b --json {run}/control\n")));
    let said = ctl(&place, &["hello"]);
    assert_eq!(said.code, 2, "it is not in the PATH");
    assert!(said.err.contains("no command \"hello\""), "{said:?}");
    let odd = command(&place, &["../hello"]).env("PATH", &path).output().unwrap();
    assert_eq!(odd.status.code(), Some(2));
}

/// What each shell makes of `goingctl -r RUN restart w` and a Tab.
#[test]
fn shells_complete_live_names() {
    let place = Place::new();
    place.service("web@a:1", SLEEP);
    place.service("worker", SLEEP);
    let mut going = place.start(&[]);
    going.wait_all_started(["web@a:1", "worker"]);
    let run = place.path("run");
    let bin = place.path("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(goingctl(), format!("{bin}/goingctl")).unwrap();
    let shell = |words: &[&str]| {
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
        let output = Command::new(words[0]).args(&words[1..]).env("PATH", path).output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    if has("bash") {
        let complete = |line: &str| {
            let script = format!(
                "eval \"$(goingctl completions bash)\"; COMP_LINE='{line}'; \
                 COMP_POINT=${{#COMP_LINE}}; _goingctl goingctl; echo \"${{COMPREPLY[@]}}\""
            );
            shell(&["bash", "--norc", "-c", &script])
        };
        assert_eq!(complete(&format!("goingctl -r {run} restart w")), "web@a:1 worker\n");
        // Of a word with a colon in it, readline replaces what comes after that.
        assert_eq!(complete(&format!("goingctl -r {run} restart web@a:")), "1\n");
        assert_eq!(complete("goingctl sig"), "signal\n");
        assert_eq!(complete("goingctl signal "), complete("goingctl signal  "));
        assert_eq!(complete("goingctl new web user="), "\n");
    }
    if has("fish") {
        let script = format!(
            "goingctl completions fish | source; complete -C 'goingctl -r {run} restart w'"
        );
        assert_eq!(shell(&["fish", "--no-config", "-c", &script]), "web@a:1\nworker\n");
    }
    if has("zsh") {
        // Its completion works on a terminal only, so what it would add is told.
        let script = format!(
            "compdef() {{ :; }}; compadd() {{ shift; print -l ${{(P)1}}; }}; _files() {{ print files; }}; \
             eval \"$(goingctl completions zsh)\"; \
             words=(goingctl -r {run} restart w); CURRENT=5; _goingctl; \
             words=(goingctl check x); CURRENT=3; _goingctl"
        );
        assert_eq!(shell(&["zsh", "-f", "-c", &script]), "web@a:1\nworker\nfiles\n");
    }
    going.stop();
}
