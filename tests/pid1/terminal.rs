//! The main command on a terminal, which is its own: a shell with job control.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use crate::common::{Place, has, program, wait_until};

/// Types into script(1)'s terminal and looks at what is shown.
#[test]
fn a_shell_on_a_terminal_has_job_control() {
    if !has("script") {
        return;
    }
    let place = Place::new();
    let (confdir, rundir) = (place.path("going.d"), place.path("run"));
    let command = format!("{} -q -d {confdir} -r {rundir} -o env=PS1=ready: -- sh -i", program());
    let (mut keyboard, stdin) = UnixStream::pair().unwrap();
    let mut script = place.start_with(
        &["script", "-qefc", &command, "/dev/null"],
        Stdio::from(std::os::fd::OwnedFd::from(stdin)),
    );
    let shown = || place.read("stdout");
    let mut prompts = 0;
    let mut wait_prompt = || {
        prompts += 1;
        wait_until("a prompt", || shown().matches("ready:").count() >= prompts);
    };
    wait_prompt();
    keyboard.write_all(b"trap 'echo was-\"interrupted\"' INT; sleep 1000; echo on\n").unwrap();
    wait_until("the job to run", || place.processes().iter().any(|it| is_sleep(*it)));
    // Stopped by the terminal, it is the shell that goes on.
    keyboard.write_all(b"\x1a").unwrap();
    wait_until("the job to stop", || shown().contains("Stopped"));
    keyboard.write_all(b"\nkill %1; fg; echo job-\"over\"\n").unwrap();
    wait_until("the job to end", || shown().contains("job-over"));
    // And an interrupt reaches what is in the foreground, and not going.
    keyboard.write_all(b"sleep 1001\n").unwrap();
    wait_until("the job to run", || place.processes().iter().any(|it| is_sleep(*it)));
    keyboard.write_all(b"\x03").unwrap();
    wait_until("the job to end", || !place.processes().iter().any(|it| is_sleep(*it)));
    keyboard.write_all(b"\nexit 5\n").unwrap();
    assert_eq!(script.wait_exit(), 5, "{}", shown());
}

fn is_sleep(pid: i32) -> bool {
    crate::common::status(pid, "Name") == "sleep"
}
