//! What takes more than one question to going: restarts of one service after the
//! other, and waiting for one.

use std::time::Duration;

use super::Web;
use super::api::{in_json, only, refuse, refused};
use super::http::{Request, Response};
use super::wait;
use crate::client::json as answers;
use crate::client::reply::Status;
use crate::client::{self, Trouble};
use crate::config::instances;
use crate::protocol::{Command, Request as Question, State};

/// For one service of many.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever asks is given an answer before a front gives them up.
const SECONDS_MAX: u64 = 55;

/// Restarts one service after the other, each when the last one is up, and none
/// beyond the first that is not.
///
/// # Errors
/// There is no going any more.
pub fn rolling(web: &Web, names: Vec<String>) -> Result<Response, Trouble> {
    let question = Question { names, ..Question::new(Command::Status) };
    let mut all = client::ask(&web.place, &question)?;
    if let Some(response) = refused(&all) {
        return Ok(response);
    }
    let mut services: Vec<_> = all.blocks.iter().filter_map(Status::read).collect();
    // To renew what runs is no reason to start what somebody stopped.
    services.retain(|it| it.is_wanted);
    services.sort_by(|one, other| instances::order(&one.name, &other.name));
    all.blocks.clear();
    let (mut states, mut status) = (Vec::new(), 200);
    for service in services {
        let names = vec![service.name];
        let question = Question { names: names.clone(), ..Question::new(Command::Restart) };
        let reply = client::ask(&web.place, &question)?;
        if let Some(response) = refused(&reply) {
            return Ok(response);
        }
        let after = wait::until(web, &names, reply.serial, PATIENCE, wait::is_settled_to_stay)?;
        let is_good =
            |it: &Status| it.is(State::Up) || it.is(State::Done) || it.is(State::Listening);
        let is_there = after.first().is_some_and(is_good);
        let is_asked = reply.blocks.iter().all(|it| it.get("outcome") != Some("failed"));
        states.extend(after.into_iter().map(|it| (it.name, it.state)));
        all.serial = reply.serial;
        all.blocks.extend(reply.blocks);
        if !is_there || !is_asked {
            status = 409;
            break;
        }
    }
    Ok(in_json(status, answers::blocks(&all, "services", &states)))
}

/// Answers when a service is in a state, or not soon enough.
///
/// # Errors
/// There is no going any more.
pub fn wait_for(web: &Web, request: &Request, name: String) -> Result<Response, Trouble> {
    let (state, patience) = match question(request) {
        Ok(asked) => asked,
        Err(response) => return Ok(response),
    };
    let names = vec![name];
    let reply = client::ask(&web.place, &about(&names))?;
    if let Some(response) = refused(&reply) {
        return Ok(response);
    }
    let after = wait::until(web, &names, reply.serial, patience, |it| it.is(state))?;
    let Some(service) = after.into_iter().next() else {
        return Ok(refuse(404, "unknown-service", "it is gone"));
    };
    if !service.is(state) {
        let why = format!("{} is {} still, not {}", service.name, service.state, state.word());
        return Ok(refuse(409, "late", &why));
    }
    // How it is by now, which may be something else again.
    let reply = client::ask(&web.place, &about(&names))?;
    let block = reply.blocks.first().cloned().unwrap_or_default();
    let usage = web.meter.measure([&block].into_iter()).into_iter().next().flatten();
    Ok(in_json(200, answers::service(&block, usage)))
}

fn about(names: &[String]) -> Question {
    Question { names: names.to_vec(), ..Question::new(Command::Status) }
}

fn question(request: &Request) -> Result<(State, Duration), Response> {
    let state = only(request, "for")?.and_then(State::read);
    let state =
        state.ok_or_else(|| refuse(400, "invalid", "for= takes a state, such as up or down"))?;
    let seconds = only(request, "seconds")?.map_or(Ok(SECONDS_MAX), str::parse::<u64>);
    match seconds {
        Ok(seconds) if seconds <= SECONDS_MAX => Ok((state, Duration::from_secs(seconds))),
        _ => Err(refuse(400, "invalid", "seconds= takes a number up to 55")),
    }
}
