//! A restart of one service after the other: each must be up again, and ready if
//! that is another matter, before the next one is touched. It stops at the first
//! that is not, so that a bad change takes down one of many, and never all.

use std::time::Duration;

use clap::ArgMatches;

use super::act::tell_failures;
use super::wait::{self, Goal, Target};
use super::{Ending, Session, complain, judge, options, print, request};
use crate::client::reply::{Outcome, Status};
use crate::client::{Trouble, ask, json};
use crate::config::instances;
use crate::protocol::{Command, Request};

/// Performs `restart --rolling`.
pub fn restart(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let timeout = options::value::<Duration>(matches, "timeout");
    let place = session.place()?;
    let mut reply = ask(&place, &request(Command::Status, matches))?;
    let mut ending = judge(&reply);
    let mut services: Vec<_> = reply.blocks.iter().filter_map(Status::read).collect();
    services.sort_by(|one, other| instances::order(&one.name, &other.name));
    reply.blocks.clear();
    let mut states = Vec::new();
    let mut rest = services.into_iter();
    while let Some(service) = rest.next() {
        // To renew what runs is no reason to start what somebody stopped.
        if !service.is_wanted {
            if !session.is_json {
                print(&format!("{}: {}, left as it is\n", service.name, service.state))?;
            }
            continue;
        }
        let names = vec![service.name.clone()];
        let answer = ask(&place, &Request { names, ..Request::new(Command::Restart) })?;
        let outcomes: Vec<_> = answer.blocks.iter().filter_map(Outcome::read).collect();
        let mut ended = judge(&answer).max(tell_failures(&outcomes));
        let services = outcomes.into_iter().filter(Outcome::is_good).collect();
        let goal = Goal { target: Target::Up, services, timeout, serial: answer.serial };
        let (reached, state) = wait::reach(session, &place, goal)?;
        ended = ended.max(reached);
        states.extend(state);
        reply.blocks.extend(answer.blocks);
        reply.serial = answer.serial;
        ending = ending.max(ended);
        if ended != Ending::Done {
            let left: Vec<_> = rest.filter(|it| it.is_wanted).map(|it| it.name).collect();
            if !left.is_empty() {
                let (name, left) = (&service.name, left.join(" "));
                complain(&format!("stopped at {name}; not restarted: {left}"));
            }
            break;
        }
    }
    if session.is_json {
        print(&json::blocks(&reply, "services", &states))?;
    }
    Ok(ending)
}
