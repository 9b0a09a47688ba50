//! Processes: run to their end, signalled, and what /proc says about them.

use std::fs;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait_until;

/// Runs it to its end.
pub fn run(words: &[&str]) -> Output {
    Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output().expect(words[0])
}

pub fn send(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// The fields of /proc/PID/stat after the name: state, parent, group, session.
pub fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

/// Whether it lives; one that only waits to be reaped does not.
pub fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|it| it[0] != "Z" && it[0] != "X")
}

/// The value of `field` in /proc/PID/status.
pub fn status(pid: i32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|it| it.strip_prefix(field)?.strip_prefix(":"));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The strings of /proc/PID/environ or cmdline.
pub fn strings(pid: i32, file: &str) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Waits until the process runs the program of this name, past its exec.
pub fn wait_comm(pid: i32, name: &str) {
    wait_until(&format!("{pid} to be {name}"), || status(pid, "Name") == name);
}

fn pids() -> Vec<i32> {
    let names = fs::read_dir("/proc").unwrap().flatten().map(|it| it.file_name());
    names.filter_map(|it| it.to_str()?.parse().ok()).collect()
}

pub fn children(pid: i32) -> Vec<i32> {
    let is_child = |it: &i32| stat(*it).is_some_and(|it| it[1] == pid.to_string());
    pids().into_iter().filter(is_child).collect()
}

pub fn marked(marker: &str) -> Vec<i32> {
    let mark = format!("GOING_TEST={marker}");
    pids().into_iter().filter(|it| strings(*it, "environ").contains(&mark)).collect()
}

pub fn kill_marked(marker: &str) {
    wait_until("the end of what the test left", || {
        let left = marked(marker);
        left.iter().for_each(|it| send(*it, Signal::SIGKILL));
        left.is_empty()
    });
}
