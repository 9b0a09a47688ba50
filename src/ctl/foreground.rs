//! `goingctl fg`: a service as if it had been started in this terminal. What it
//! writes is shown and what is typed is sent, but it belongs to going all the
//! time: however we end, it goes on.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use clap::ArgMatches;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use super::log::Logs;
use super::{Ending, Session, complain, judge, options, send};
use crate::client::log::{Choice, Wanted, of};
use crate::client::reply::{Death, Status};
use crate::client::say;
use crate::client::{Client, Trouble};
use crate::protocol::{Command, Message, Request, State};
use crate::supervise::Moment;
use crate::sys;

/// What a service has written when it ends is in its log after this.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Who pipes lines in is shown what comes back, until nothing did for so long.
const SILENCE: Duration = Duration::from_secs(1);

/// How often to ask whether a service that is being stopped is still there: of
/// one whose file is gone nothing tells that it has ended.
const ASK: Duration = Duration::from_secs(1);

/// Performs it.
pub fn foreground(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let name = options::value::<String>(matches, "one-name").unwrap_or_default();
    let place = session.place()?;
    let mut client = Client::connect(&place)?;
    let question = Request { names: vec![name], ..Request::new(Command::Status) };
    let reply = client.ask(&question)?;
    let ending = judge(&reply);
    let services: Vec<(&Message, Status)> =
        reply.blocks.iter().filter_map(|block| Some((block, Status::read(block)?))).collect();
    let [(block, service)] = services.as_slice() else {
        let text = "only one service can be in the foreground".to_owned();
        return if ending == Ending::Done { Err(Trouble::Usage(text)) } else { Ok(ending) };
    };
    if service.pid.is_none() {
        complain(&format!("{} does not run, it is {}", service.name, service.state));
        return Ok(Ending::NotRunning);
    }
    let sources = of(block, Wanted::Both).map_err(Trouble::Failed)?;
    let choice = Choice { lines: Some(0), ..Choice::default() };
    let logs = Logs::open(session, sources, choice, true);
    if !logs.is_alive() {
        return Ok(Ending::Failed);
    }
    let mut events = Client::connect(&place)?;
    let since = Some(reply.serial);
    events.send(&Request { since, follow: true, ..Request::new(Command::Events) })?;
    if io::stdin().is_terminal() {
        complain(&format!("{} is shown here; Ctrl-C leaves it alone", service.name));
    }
    let (name, is_leaving) = (service.name.clone(), false);
    let (input, last_at) = (Some(Vec::new()), None);
    Talk { name, client, events, logs, input, last_at, is_leaving }.run()
}

/// The service in the foreground.
struct Talk {
    name: String,
    /// Takes lines.
    client: Client,
    /// Tells what becomes of it.
    events: Client,
    logs: Logs,
    /// A line that was begun; nothing when there will be no more.
    input: Option<Vec<u8>>,
    /// When something was shown last, or all was sent, if there will be no more.
    last_at: Option<Moment>,
    /// It is being stopped, or was.
    is_leaving: bool,
}

impl Talk {
    fn run(mut self) -> Result<Ending, Trouble> {
        let failed = |error| Trouble::Failed(format!("can't hear signals: {error}"));
        let (ears, ear) = UnixStream::pair().map_err(failed)?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            pipe::register(signal, ear.try_clone().map_err(failed)?).map_err(failed)?;
        }
        let stdin = io::stdin();
        let mut asked_at = sys::monotonic();
        loop {
            if self.logs.turn()? {
                self.last_at = self.last_at.map(|_| sys::monotonic());
            }
            let silence = self.last_at.map(|at| sys::monotonic().since(at));
            if silence.is_some_and(|it| it >= SILENCE) {
                return self.leave();
            }
            let left = silence.map(|it| SILENCE.saturating_sub(it));
            let limit = left.into_iter().chain(self.is_leaving.then_some(ASK)).min();
            let all = [ears.as_fd(), self.events.as_fd(), stdin.as_fd()];
            let wanted = if self.input.is_some() { &all[..] } else { &all[..2] };
            let ready = self.logs.wait(wanted, limit)?;
            let mut ready = ready.into_iter();
            let mut next = || ready.next().unwrap_or(false);
            let (is_end, is_event, is_input) = (next(), next(), next());
            if is_end {
                return self.leave();
            }
            if is_event {
                if let Some(how) = self.hear()? {
                    return self.tell_end(&how);
                }
            }
            if self.is_leaving && sys::monotonic().since(asked_at) >= ASK {
                asked_at = sys::monotonic();
                if self.is_gone()? {
                    return self.tell_end("its file is gone, and so is it");
                }
            }
            if is_input && !self.read_input()? {
                return self.leave();
            }
        }
    }

    /// Somebody wants to go; the service stays.
    fn leave(&mut self) -> Result<Ending, Trouble> {
        self.logs.end_line()?;
        complain(&format!("{} goes on without us", self.name));
        Ok(Ending::Done)
    }

    /// The service has ended. Its last words are still to be heard.
    fn tell_end(&mut self, how: &str) -> Result<Ending, Trouble> {
        let until: Moment = sys::monotonic().after(LAST_WORDS);
        loop {
            self.logs.turn()?;
            let left = until.since(sys::monotonic());
            if left.is_zero() {
                break;
            }
            self.logs.wait(&[], Some(left))?;
        }
        self.logs.end_line()?;
        complain(&format!("{} has ended: {how}", self.name));
        Ok(Ending::Done)
    }

    /// Hears what happened; how the service ended, if it did.
    fn hear(&mut self) -> Result<Option<String>, Trouble> {
        // Only what is there by now.
        while let Some(event) = self.events.next(Duration::ZERO)? {
            if event.get("lost").is_some() {
                self.is_leaving = true;
            }
            if event.get("service") != Some(&self.name) {
                continue;
            }
            let Some(word) = event.get("state") else { continue };
            let state = State::read(word);
            let death = Death::read(&event, "");
            self.is_leaving |= matches!(state, Some(State::Stopping | State::Clearing));
            let is_running = matches!(
                state,
                Some(State::Up | State::Starting | State::Stopping | State::Clearing)
            );
            if death.is_some() || !is_running {
                return Ok(Some(death.map_or(word.to_owned(), |death| say::ended(&death.end))));
            }
        }
        Ok(None)
    }

    /// Whether going knows it no more, or it does not run.
    fn is_gone(&mut self) -> Result<bool, Trouble> {
        let names = vec![self.name.clone()];
        let reply = self.client.ask(&Request { names, ..Request::new(Command::Status) })?;
        let status = reply.blocks.iter().find_map(Status::read);
        self.is_leaving = status.as_ref().is_some_and(|it| it.signal.is_some());
        Ok(status.is_none_or(|it| it.pid.is_none() && it.signal.is_none()))
    }

    /// Sends the lines that were typed; false if there will be no more.
    fn read_input(&mut self) -> Result<bool, Trouble> {
        let Some(mut input) = self.input.take() else { return Ok(true) };
        let mut buffer = [0; 8192];
        let length = match nix::unistd::read(io::stdin().as_fd(), &mut buffer) {
            Ok(length) => length,
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => {
                self.input = Some(input);
                return Ok(true);
            }
            Err(_) => 0,
        };
        input.extend_from_slice(buffer.get(..length).unwrap_or_default());
        if length == 0 && !input.is_empty() {
            input.push(b'\n');
        }
        let end = input.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let rest = input.split_off(end);
        for line in input.split_inclusive(|&byte| byte == b'\n') {
            match send::text(line) {
                Ok(text) => drop(send::line(&mut self.client, &self.name, text)?),
                Err(why) => complain(&format!("what was typed {why}, and is not sent")),
            }
        }
        if rest.len() >= send::LINE_MAX {
            complain("what was typed is too long, and is not sent");
            self.input = Some(Vec::new());
        } else {
            self.input = Some(rest);
        }
        if length == 0 && !io::stdin().is_terminal() {
            (self.input, self.last_at) = (None, Some(sys::monotonic()));
        }
        Ok(length > 0 || self.input.is_none())
    }
}
