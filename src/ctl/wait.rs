//! Waiting for services. What has happened is heard from the events, in their
//! order, so that nothing is missed that came and went; how things are is asked
//! for only to be shown, or when there is no news for long. Quiet in a pipe.

use std::io::{self, Write};
use std::time::Duration;

use clap::ArgMatches;

use super::{Ending, Session, complain, judge, options, print, request, screen};
use crate::client::reply::{Outcome, Status};
use crate::client::say::{self, span};
use crate::client::{Client, Place, Trouble, ask};
use crate::protocol::{Command, Message, Request, State};
use crate::supervise::Moment;
use crate::sys;

/// A program that cannot run at all has ended after this; one that is up for so
/// long is taken to be up.
const STEADY: Duration = Duration::from_millis(300);

/// How often it is shown what is waited for.
const TICK: Duration = Duration::from_secs(1);

/// So long without any news, how things are is asked for, should there be no
/// event to tell it: a service whose file is gone has none any more.
const SILENCE: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// It is up, or its work is done.
    Up,
    /// Nothing of it runs.
    Down,
    /// It is in this state.
    State(State),
}

/// Who is to get there.
pub struct Goal {
    /// Where.
    pub target: Target,
    /// The services, and how each took its order.
    pub services: Vec<Outcome>,
    /// How long at most.
    pub timeout: Option<Duration>,
    /// What is known was so at this event.
    pub serial: u64,
}

/// Whether a service has got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// On its way.
    Wait,
    /// It has, if it stays so for a moment.
    Nearly,
    /// It has.
    There,
    /// It never will.
    Lost,
}

/// A service that is waited for.
struct Pending {
    name: String,
    state: String,
    pid: Option<u64>,
    /// Whether it waits for others which will not get there by themselves.
    is_stuck: bool,
    /// Since when we know it to be so; nothing for what was so all the time.
    since: Option<Moment>,
}

impl Pending {
    fn new(outcome: Outcome, now: Moment) -> Pending {
        Pending {
            since: (outcome.outcome != "already").then_some(now),
            name: outcome.name,
            state: outcome.state,
            pid: None,
            is_stuck: false,
        }
    }

    fn turn(&mut self, state: &str, pid: Option<u64>) {
        if self.state != state {
            self.since = Some(sys::monotonic());
            self.is_stuck = false;
        }
        self.state = state.to_owned();
        self.pid = pid.or(self.pid);
    }

    fn verdict(&self, target: Target) -> Verdict {
        let is_steady = self.since.is_none_or(|since| sys::monotonic().since(since) >= STEADY);
        match (target, State::read(&self.state)) {
            (Target::State(target), state) if state == Some(target) => Verdict::There,
            (Target::Up, Some(State::Up)) if !is_steady => Verdict::Nearly,
            (Target::Up, Some(State::Up | State::Done | State::Listening))
            | (Target::Down, Some(State::Down | State::Disabled | State::Done | State::Failed)) => {
                Verdict::There
            }
            (
                Target::Up,
                Some(State::Quarantined | State::Failed | State::Down | State::Disabled),
            ) => Verdict::Lost,
            (Target::Up, Some(State::Waiting)) if self.is_stuck => Verdict::Lost,
            (Target::State(_) | Target::Up | Target::Down, _) => Verdict::Wait,
        }
    }
}

/// Performs `wait`.
pub fn wait(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let word = options::value::<String>(matches, "for").unwrap_or_default();
    let Some(state) = State::read(&word) else {
        return Err(Trouble::Usage(format!("no state `{word}`")));
    };
    let place = session.place()?;
    let reply = ask(&place, &request(Command::Status, matches))?;
    let ending = judge(&reply);
    if ending != Ending::Done {
        return Ok(ending);
    }
    let services = reply.blocks.iter().filter_map(Status::read).map(|service| Outcome {
        name: service.name,
        outcome: "already".to_owned(),
        message: None,
        state: service.state,
    });
    let goal = Goal {
        target: Target::State(state),
        services: services.collect(),
        timeout: options::value(matches, "timeout"),
        serial: reply.serial,
    };
    Ok(reach(session, &place, goal)?.0)
}

/// How waiting went, and the states in which the services are.
pub type Reached = (Ending, Vec<(String, String)>);

/// Waits until all services are there, or cannot get there any more.
pub fn reach(session: &Session, place: &Place, goal: Goal) -> Result<Reached, Trouble> {
    let start = sys::monotonic();
    let mut room = Room {
        place,
        target: goal.target,
        pending: goal.services.into_iter().map(|it| Pending::new(it, start)).collect(),
        states: Vec::new(),
        ending: Ending::Done,
        progress: Progress::new(session),
        is_json: session.is_json,
    };
    room.settle()?;
    if room.pending.is_empty() {
        return Ok((room.ending, room.states));
    }
    let mut client = Client::connect(place)?;
    let since = Some(goal.serial);
    client.send(&Request { since, follow: true, ..Request::new(Command::Events) })?;
    let mut heard_at = start;
    while !room.pending.is_empty() {
        let waited = sys::monotonic().since(start);
        if let Some(timeout) = goal.timeout.filter(|timeout| waited >= *timeout) {
            room.give_up(timeout);
            break;
        }
        match client.next(room.patience(goal.timeout, waited))? {
            Some(event) => {
                heard_at = sys::monotonic();
                room.hear(&event)?;
            }
            None if room.has_waiting() || sys::monotonic().since(heard_at) >= SILENCE => {
                heard_at = sys::monotonic();
                room.refresh()?;
            }
            None => {}
        }
        room.settle()?;
        room.show(waited)?;
    }
    Ok((room.ending, room.states))
}

/// Those who wait, and what became of those who do not any more.
struct Room<'a> {
    place: &'a Place,
    target: Target,
    pending: Vec<Pending>,
    states: Vec<(String, String)>,
    ending: Ending,
    progress: Progress,
    is_json: bool,
}

impl Room<'_> {
    /// How long to listen before there is something else to do.
    fn patience(&self, timeout: Option<Duration>, waited: Duration) -> Duration {
        let left = timeout.map_or(TICK, |timeout| timeout.saturating_sub(waited));
        let is_near = self.pending.iter().any(|it| it.verdict(self.target) == Verdict::Nearly);
        left.min(if is_near { STEADY / 4 } else { TICK })
    }

    /// Takes an event in.
    fn hear(&mut self, event: &Message) -> Result<(), Trouble> {
        if event.get("lost").is_some() {
            return self.refresh();
        }
        if let Some(result) = event.get("result") {
            let message = event.get("message").unwrap_or(result);
            return Err(Trouble::Failed(message.to_owned()));
        }
        let (name, state) = (event.get("service"), event.get("state"));
        for service in self.pending.iter_mut().filter(|it| Some(it.name.as_str()) == name) {
            if let Some(state) = state {
                service.turn(state, event.number("pid"));
            }
        }
        Ok(())
    }

    /// Whether somebody waits for others, of whom no event tells us.
    fn has_waiting(&self) -> bool {
        self.pending.iter().any(|it| State::read(&it.state) == Some(State::Waiting))
    }

    fn names(&self) -> Vec<String> {
        self.pending.iter().map(|service| service.name.clone()).collect()
    }

    /// Asks how things are, for those of whom events may have been missed.
    fn refresh(&mut self) -> Result<(), Trouble> {
        let found = look(self.place, self.names())?;
        for service in &mut self.pending {
            match found.iter().find(|status| status.name == service.name) {
                Some(status) => {
                    service.turn(&status.state, status.pid);
                    service.is_stuck = status.waits_in_vain();
                }
                // Its file is gone, and so is the last of its processes.
                None => service.turn(State::Down.word(), None),
            }
        }
        Ok(())
    }

    /// Tells of those who are there or lost, and keeps the others.
    fn settle(&mut self) -> Result<(), Trouble> {
        for service in std::mem::take(&mut self.pending) {
            let verdict = service.verdict(self.target);
            if [Verdict::Wait, Verdict::Nearly].contains(&verdict) {
                self.pending.push(service);
                continue;
            }
            self.progress.clear();
            if verdict == Verdict::Lost {
                self.ending = Ending::Failed;
                complain(&excuse(self.place, &service));
            } else if !self.is_json {
                let pid = service.pid.filter(|_| service.state == State::Up.word());
                let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                let already = if service.since.is_none() { "already " } else { "" };
                print(&format!("{}: {already}{}{pid}\n", service.name, service.state))?;
            }
            self.states.push((service.name, service.state));
        }
        Ok(())
    }

    /// The time is over.
    fn give_up(&mut self, timeout: Duration) {
        self.progress.clear();
        self.ending = Ending::Failed;
        for service in std::mem::take(&mut self.pending) {
            complain(&format!("after {}: {}", span(timeout), excuse(self.place, &service)));
            self.states.push((service.name, service.state));
        }
    }

    /// Shows what is waited for; not at once, for most is not waited for long.
    fn show(&mut self, waited: Duration) -> Result<(), Trouble> {
        if self.progress.is_shown && waited >= TICK / 2 && !self.pending.is_empty() {
            let services = look(self.place, self.names())?;
            self.progress.write(&services, waited);
        }
        Ok(())
    }
}

/// Why a service did not get there.
fn excuse(place: &Place, service: &Pending) -> String {
    let mut text = format!("{} is {}", service.name, service.state);
    let found = look(place, vec![service.name.clone()]).unwrap_or_default();
    let Some(status) = found.into_iter().next() else { return text };
    if let Some(whom) = status.awaited() {
        text.push_str(&format!(" for {whom}"));
    }
    if let Some(last) = &status.last {
        text.push_str(&format!(": {}", say::death(last)));
    }
    if let Some((next, time)) = &status.next {
        text.push_str(&format!("; {}", say::coming(next, *time)));
    }
    text.push_str(&format!("\n`goingctl why {}` tells more", service.name));
    text
}

/// How services of these very names are; what is gone is left out.
fn look(place: &Place, names: Vec<String>) -> Result<Vec<Status>, Trouble> {
    let reply = ask(place, &Request { names, ..Request::new(Command::Status) })?;
    Ok(reply.blocks.iter().filter_map(Status::read).collect())
}

/// Waits until going hangs up.
pub fn end(
    session: &Session,
    place: &Place,
    mut client: Client,
    timeout: Option<Duration>,
) -> Result<(), Trouble> {
    let start = sys::monotonic();
    let mut progress = Progress::new(session);
    loop {
        let waited = sys::monotonic().since(start);
        let left = timeout.map_or(TICK, |timeout| timeout.saturating_sub(waited));
        if left.is_zero() {
            progress.clear();
            return Err(Trouble::Failed(format!("going has not ended after {}", span(waited))));
        }
        match client.next(left.min(TICK)) {
            Err(Trouble::HungUp(_)) => return Ok(()),
            Err(trouble) => return Err(trouble),
            Ok(_) => {}
        }
        if !progress.is_shown {
            continue;
        }
        // It may hang up on this question as well, which is what we wait for.
        let Ok(services) = look(place, Vec::new()) else { continue };
        let is_alive = |it: &Status| it.pid.is_some() || it.signal.is_some();
        let left: Vec<Status> = services.into_iter().filter(is_alive).collect();
        progress.write(&left, waited);
    }
}

/// The line that shows what is waited for. It is gone when its owner is.
struct Progress {
    is_shown: bool,
    is_there: bool,
}

impl Progress {
    fn new(session: &Session) -> Progress {
        Progress { is_shown: session.style.has_progress && !session.is_json, is_there: false }
    }

    fn write(&mut self, services: &[Status], waited: Duration) {
        let line = progress(services, waited);
        let line = screen::cut(&line, screen::size().0.saturating_sub(1));
        self.is_there = true;
        let _ = write!(io::stderr(), "\r{line}\x1b[K");
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_there) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What is waited for, for how long by now, and what comes next.
fn progress(services: &[Status], waited: Duration) -> String {
    let one = |service: &Status| {
        let mut text = format!("{} {}", service.name, service.state);
        if let Some(pid) = service.pid {
            text.push_str(&format!(" (pid {pid})"));
        }
        if let Some(signal) = &service.signal {
            text.push_str(&format!(", SIG{signal} sent"));
        }
        if let Some((next, time)) = &service.next {
            text.push_str(&format!(", {}", say::coming(next, *time)));
        }
        text
    };
    let all: Vec<String> = services.iter().map(one).collect();
    let count = say::count(u64::try_from(all.len()).unwrap_or(0), "service");
    format!("[{}] waiting for {count}: {}", span(waited), all.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(state: State, since: Option<Moment>) -> Pending {
        Pending {
            name: "web".into(),
            state: state.word().into(),
            pid: None,
            is_stuck: false,
            since,
        }
    }

    #[test]
    fn whoever_cannot_get_there_is_not_waited_for() {
        let verdict = |target, state| pending(state, None).verdict(target);
        for state in [State::Waiting, State::Starting, State::Stopping, State::Clearing] {
            assert_eq!(verdict(Target::Up, state), Verdict::Wait, "{state:?}");
            assert_eq!(verdict(Target::Down, state), Verdict::Wait, "{state:?}");
        }
        for state in [State::Quarantined, State::Failed, State::Down, State::Disabled] {
            assert_eq!(verdict(Target::Up, state), Verdict::Lost, "{state:?}");
        }
        for state in [State::Down, State::Disabled, State::Done, State::Failed] {
            assert_eq!(verdict(Target::Down, state), Verdict::There, "{state:?}");
        }
        assert_eq!(verdict(Target::Up, State::Done), Verdict::There);
        assert_eq!(verdict(Target::State(State::Failed), State::Failed), Verdict::There);
        assert_eq!(verdict(Target::State(State::Up), State::Failed), Verdict::Wait);
    }

    #[test]
    fn up_counts_when_it_has_lasted_for_a_moment() {
        let just_now = pending(State::Up, Some(sys::monotonic().after(STEADY)));
        assert_eq!(just_now.verdict(Target::Up), Verdict::Nearly);
        assert_eq!(pending(State::Up, Some(Moment(0))).verdict(Target::Up), Verdict::There);
        assert_eq!(pending(State::Up, None).verdict(Target::Up), Verdict::There);
    }

    #[test]
    fn progress_tells_what_comes_next() {
        let lines = "service=web\nstate=stopping\npid=812\nsignal=TERM\nnext=signal\nnext-ms=6800";
        let status = Status::read(&Message::parse(lines.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            progress(&[status], Duration::from_millis(3200)),
            "[3.2s] waiting for 1 service: web stopping (pid 812), SIGTERM sent, signal in 6.8s"
        );
    }
}
