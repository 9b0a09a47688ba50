//! `goingctl send`: lines for the stdin of services. A line is sent whole or not
//! at all; while a service does not read, we wait, for a while.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use clap::ArgMatches;

use super::{Ending, Session, act, judge, options, print};
use crate::client::reply::Outcome;
use crate::client::{Client, Trouble, json};
use crate::protocol::{Command, Request};
use crate::sys;

/// Somebody who has read nothing for so long reads no more.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to try while a pipe is full.
const AGAIN: Duration = Duration::from_millis(20);

/// A line of standard input that is longer than this is more than a message, or
/// the pipe to a service, can take.
pub const LINE_MAX: usize = 60 * 1024;

/// Performs it.
pub fn send(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let name = options::value::<String>(matches, "one-name").unwrap_or_default();
    let words = options::texts(matches, "text");
    let mut client = Client::connect(&session.place()?)?;
    let is_stdin = words.is_empty() || words == ["-"];
    if is_stdin {
        if session.is_json {
            return Err(Trouble::Usage(
                "lines of standard input have no answer in JSON".to_owned(),
            ));
        }
        return send_input(&mut client, &name);
    }
    let (ending, reply) = line(&mut client, &name, &words.join(" "))?;
    if session.is_json {
        print(&json::blocks(&reply, "services", &[]))?;
    }
    Ok(ending)
}

/// Sends each line of standard input, until one cannot be.
fn send_input(client: &mut Client, name: &str) -> Result<Ending, Trouble> {
    let failed =
        |error: io::Error| Trouble::Failed(format!("can't read: {}", sys::explain(&error)));
    let mut input = io::stdin().lock();
    let mut bytes = Vec::new();
    let limit = u64::try_from(LINE_MAX).unwrap_or(0);
    for number in 1_u64.. {
        bytes.clear();
        input.by_ref().take(limit).read_until(b'\n', &mut bytes).map_err(failed)?;
        if bytes.is_empty() {
            break;
        }
        let text = text(&bytes).map_err(|why| Trouble::Failed(format!("line {number} {why}")))?;
        let (ending, _) = self::line(client, name, text)?;
        if ending != Ending::Done {
            return Ok(ending);
        }
    }
    Ok(Ending::Done)
}

/// The line that these bytes are.
///
/// # Errors
/// Why they cannot be sent, in words which follow `it`.
pub fn text(bytes: &[u8]) -> Result<&str, String> {
    if bytes.len() >= LINE_MAX && !bytes.ends_with(b"\n") {
        return Err(format!("is longer than {} KiB", LINE_MAX / 1024));
    }
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    std::str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())
}

/// Sends one line, and says what went wrong.
///
/// # Errors
/// Going is gone.
pub fn line(
    client: &mut Client,
    name: &str,
    text: &str,
) -> Result<(Ending, super::Reply), Trouble> {
    let deadline = sys::monotonic().after(PATIENCE);
    let mut names = vec![name.to_owned()];
    loop {
        let text = Some(text.to_owned());
        let question = Request { names, text, ..Request::new(Command::Send) };
        let reply = client.ask(&question)?;
        let outcomes: Vec<Outcome> = reply.blocks.iter().filter_map(Outcome::read).collect();
        let busy = |it: &&Outcome| it.outcome == "busy";
        // Those who took it must not get it twice.
        names = outcomes.iter().filter(busy).map(|it| it.name.clone()).collect();
        let is_late = deadline.since(sys::monotonic()).is_zero();
        let others: Vec<Outcome> =
            outcomes.into_iter().filter(|it| is_late || !busy(&it)).collect();
        let ending = judge(&reply).max(act::tell_failures(&others));
        if names.is_empty() || is_late {
            return Ok((ending, reply));
        }
        pause(AGAIN);
    }
}

/// Waits; being interrupted is no harm.
pub fn pause(time: Duration) {
    let time = nix::poll::PollTimeout::try_from(time).unwrap_or(nix::poll::PollTimeout::MAX);
    let _ = nix::poll::poll(&mut [], time);
}
