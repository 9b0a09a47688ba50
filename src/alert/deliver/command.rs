//! Somebody's own program, which gets the facts in its environment and the text on
//! its standard input. It has a process group of its own, and only so much time.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::super::event::{self, Alert};
use super::super::settings::Settings;
use super::Failure;
use crate::supervise;
use crate::sys;

/// Runs it for one message.
pub fn tell(settings: &Settings, alert: &Alert) -> Result<(), Failure> {
    let mut variables = vec![
        ("GOING_EVENT".to_owned(), alert.get("kind").to_owned()),
        ("GOING_SUMMARY".to_owned(), alert.get("summary").to_owned()),
        ("GOING_TIME".to_owned(), alert.time()),
        ("GOING_ALERT_ID".to_owned(), alert.id.clone()),
    ];
    for (key, name) in [
        ("service", "GOING_SERVICE"),
        ("was", "GOING_FROM"),
        ("state", "GOING_TO"),
        ("pid", "GOING_PID"),
        ("exit", "GOING_EXIT"),
        ("signal", "GOING_SIGNAL"),
        ("strike", "GOING_STRIKE"),
        ("ordered", "GOING_ORDERED"),
    ] {
        let value = alert.facts.get(key).map(|value| (name.to_owned(), value.to_owned()));
        variables.extend(value);
    }
    let text = event::text(std::slice::from_ref(alert));
    run(&settings.command, &variables, text.as_bytes(), settings.timeout)
}

/// Runs these words to their end, and takes only success for an answer.
pub fn run(
    words: &[String],
    variables: &[(String, String)],
    input: &[u8],
    timeout: Duration,
) -> Result<(), Failure> {
    let failed = |text: String| Failure::Passing(text);
    let Some((program, rest)) = words.split_first() else { return Ok(()) };
    #[expect(clippy::disallowed_methods, reason = "no service, and no going which could wait")]
    let mut command = Command::new(program);
    // Ours is that of the service which we are.
    command.args(rest).env_remove("GOING_SERVICE");
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let mut child = command
        .process_group(0)
        .spawn()
        .map_err(|error| failed(format!("{program}: {}", sys::explain(&error))))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Shorter than a pipe is wide, so it never waits; who does not want to read it
        // need not.
        let _ = stdin.write_all(input);
    }
    let ended = wait(&mut child, timeout);
    let status = match ended {
        Some(status) => status,
        None => {
            return Err(failed(format!("{program}: not done within {}s", timeout.as_secs())));
        }
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(failed(format!("{program}: exit status {code}"))),
        (None, signal) => {
            Err(failed(format!("{program}: killed by signal {}", signal.unwrap_or(0))))
        }
    }
}

/// Waits for its end, or makes one.
fn wait(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    let pid = i32::try_from(child.id()).unwrap_or(0);
    let patience = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    let is_over = match sys::pidfds::open(supervise::Pid(pid)) {
        Ok(pidfd) => {
            let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, patience).is_ok_and(|count| count > 0)
        }
        // Then for as long as it takes: it is better than to kill it at once.
        Err(_) => true,
    };
    if is_over {
        return child.wait().ok();
    }
    let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    let _ = child.wait();
    None
}
