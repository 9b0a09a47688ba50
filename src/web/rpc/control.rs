//! Methods that start, stop and signal, and those about the whole.

use std::time::Duration;

use dxr::{Fault, Value};

use super::Outcome;
use super::fault::{Code, fault, troubled};
use super::info::{self, Process};
use crate::client::reply::{End, Status};
use crate::client::{self, Reply};
use crate::config::signals::read_signal;
use crate::protocol::{Command, Request};
use crate::web::{Web, wait};

/// As supervisor's startsecs: who lives so long has started.
const STARTED: Duration = Duration::from_secs(1);

/// Longer than any sequence of a stop that people wait for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A parameter that is a text.
pub fn text(params: &[Value], index: usize) -> Result<&str, Fault> {
    match params.get(index) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(fault(Code::IncorrectParameters, "")),
    }
}

/// A parameter that may be left out.
fn is_waiting(params: &[Value], index: usize) -> Result<bool, Fault> {
    match params.get(index) {
        None => Ok(true),
        Some(Value::Boolean(is_waiting)) => Ok(*is_waiting),
        Some(Value::Integer(number)) => Ok(*number != 0),
        Some(_) => Err(fault(Code::IncorrectParameters, "")),
    }
}

fn order(web: &Web, command: Command, names: Vec<String>) -> Result<Reply, Fault> {
    order_of(web, &Request { names, ..Request::new(command) })
}

/// Gives an order, which going may refuse.
pub fn order_of(web: &Web, request: &Request) -> Result<Reply, Fault> {
    let reply = client::ask(&web.place, request).map_err(|trouble| troubled(&trouble))?;
    let Some(code) = &reply.code else { return Ok(reply) };
    let told = reply.blocks.iter().find_map(|block| block.get("message"));
    Err(fault(Code::Failed, reply.message.as_deref().or(told).unwrap_or(code)))
}

/// The services that a name means: `GROUP:*` are several.
fn meant(web: &Web, name: &str) -> Result<Option<Vec<Status>>, Fault> {
    name.strip_suffix(":*").map(|group| info::group(web, group)).transpose()
}

/// The result of one service among several.
fn result(service: &Status, outcome: Result<(), Fault>) -> Value {
    let (code, text) = match outcome {
        Ok(()) => (Code::Success as i32, "OK".to_owned()),
        Err(fault) => (fault.code(), fault.string().to_owned()),
    };
    let fields = [
        ("name", Value::String(service.name.clone())),
        ("group", Value::String(service.name.clone())),
        ("status", Value::Integer(code)),
        ("description", Value::String(text)),
    ];
    Value::Struct(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Starts services, and waits for them if that is asked for.
fn start(web: &Web, services: &[Status], is_waiting: bool) -> Result<Vec<Value>, Fault> {
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = services.iter().map(|it| it.name.clone()).collect();
    let reply = order(web, Command::Start, names.clone())?;
    if !is_waiting {
        return Ok(services.iter().map(|it| result(it, Ok(()))).collect());
    }
    let has_started = |it: &Status| {
        let process = Process::of(&it.state);
        let is_young = it.uptime.unwrap_or_default() < STARTED;
        process != Process::Starting && (process != Process::Running || !is_young)
    };
    let mut after = wait::until(web, &names, reply.serial, PATIENCE, |it| {
        Process::of(&it.state) == Process::Running || has_started(it)
    });
    // Who is up has to live for a while; nothing tells when that is over.
    if after.as_ref().is_ok_and(|all| !all.iter().all(has_started)) {
        after = wait::until(web, &names, reply.serial, STARTED, |it| {
            Process::of(&it.state) != Process::Running && has_started(it)
        });
    }
    let after = after.map_err(|trouble| troubled(&trouble))?;
    Ok(after.iter().map(|it| result(it, judge(it))).collect())
}

/// Whether a service has started.
fn judge(service: &Status) -> Result<(), Fault> {
    let name = &service.name;
    let process = Process::of(&service.state);
    if matches!(process, Process::Running | Process::Exited) {
        return Ok(());
    }
    if process == Process::Starting {
        return Err(fault(Code::AbnormalTermination, name));
    }
    match service.last.as_ref().map(|death| &death.end) {
        Some(End::Fault(why)) if why.contains("o such file") || why.contains("ot found") => {
            Err(fault(Code::NoFile, name))
        }
        Some(End::Fault(why)) if why.contains("ermission denied") => {
            Err(fault(Code::NotExecutable, name))
        }
        Some(End::Fault(_)) | None => Err(fault(Code::SpawnError, name)),
        Some(_) => Err(fault(Code::AbnormalTermination, name)),
    }
}

/// What a list of one result comes to.
fn only(results: &[Value]) -> Outcome {
    let Some(Value::Struct(fields)) = results.first() else { return Ok(Value::Boolean(true)) };
    match (fields.get("status"), fields.get("description")) {
        (Some(Value::Integer(80)), _) => Ok(Value::Boolean(true)),
        (Some(Value::Integer(code)), Some(Value::String(text))) => {
            Err(Fault::new(*code, text.clone()))
        }
        _ => Err(fault(Code::Failed, "")),
    }
}

/// startProcess(name, wait=True)
pub fn start_process(web: &Web, params: &[Value]) -> Outcome {
    let name = text(params, 0)?;
    if meant(web, name)?.is_some() {
        return start_group(web, params);
    }
    let (_, service) = info::find(web, name)?;
    if Process::of(&service.state).is_running() {
        return Err(fault(Code::AlreadyStarted, name));
    }
    only(&start(web, &[service], is_waiting(params, 1)?)?)
}

/// startProcessGroup(name, wait=True)
pub fn start_group(web: &Web, params: &[Value]) -> Outcome {
    let name = text(params, 0)?;
    let services = info::group(web, name.trim_end_matches(":*"))?;
    start_those(web, services, is_waiting(params, 1)?)
}

/// startAllProcesses(wait=True)
pub fn start_all(web: &Web, params: &[Value]) -> Outcome {
    start_those(web, info::all(web)?, is_waiting(params, 0)?)
}

fn start_those(web: &Web, services: Vec<Status>, is_waiting: bool) -> Outcome {
    let idle = services.into_iter().filter(|it| !Process::of(&it.state).is_running());
    Ok(Value::Array(start(web, &idle.collect::<Vec<_>>(), is_waiting)?))
}

fn stop(web: &Web, services: &[Status], is_waiting: bool) -> Result<Vec<Value>, Fault> {
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = services.iter().map(|it| it.name.clone()).collect();
    let reply = order(web, Command::Stop, names.clone())?;
    if is_waiting {
        let is_over = |it: &Status| it.pid.is_none() && Process::of(&it.state) != Process::Stopping;
        let after = wait::until(web, &names, reply.serial, PATIENCE, is_over);
        after.map_err(|trouble| troubled(&trouble))?;
    }
    Ok(services.iter().map(|it| result(it, Ok(()))).collect())
}

/// stopProcess(name, wait=True)
pub fn stop_process(web: &Web, params: &[Value]) -> Outcome {
    let name = text(params, 0)?;
    if meant(web, name)?.is_some() {
        return stop_group(web, params);
    }
    let (_, service) = info::find(web, name)?;
    if !Process::of(&service.state).is_running() {
        return Err(fault(Code::NotRunning, name));
    }
    only(&stop(web, &[service], is_waiting(params, 1)?)?)
}

/// stopProcessGroup(name, wait=True)
pub fn stop_group(web: &Web, params: &[Value]) -> Outcome {
    let services = info::group(web, text(params, 0)?.trim_end_matches(":*"))?;
    stop_those(web, services, is_waiting(params, 1)?)
}

/// stopAllProcesses(wait=True)
pub fn stop_all(web: &Web, params: &[Value]) -> Outcome {
    stop_those(web, info::all(web)?, is_waiting(params, 0)?)
}

fn stop_those(web: &Web, services: Vec<Status>, is_waiting: bool) -> Outcome {
    let running = services.into_iter().filter(|it| Process::of(&it.state).is_running());
    Ok(Value::Array(stop(web, &running.collect::<Vec<_>>(), is_waiting)?))
}

fn signal(web: &Web, service: &Status, word: &str) -> Result<(), Fault> {
    let signal = read_signal(word).ok_or_else(|| fault(Code::BadSignal, word))?;
    if service.pid.is_none() {
        return Err(fault(Code::NotRunning, &service.name));
    }
    let names = vec![service.name.clone()];
    let request = Request { signal: Some(signal), names, ..Request::new(Command::Signal) };
    order_of(web, &request).map(|_| ())
}

/// signalProcess(name, signal)
pub fn signal_process(web: &Web, params: &[Value]) -> Outcome {
    let (name, word) = (text(params, 0)?, text(params, 1)?);
    if meant(web, name)?.is_some() {
        return signal_group(web, params);
    }
    let (_, service) = info::find(web, name)?;
    signal(web, &service, word).map(|()| Value::Boolean(true))
}

/// signalProcessGroup(name, signal)
pub fn signal_group(web: &Web, params: &[Value]) -> Outcome {
    let services = info::group(web, text(params, 0)?.trim_end_matches(":*"))?;
    signal_those(web, &services, text(params, 1)?)
}

/// signalAllProcesses(signal)
pub fn signal_all(web: &Web, params: &[Value]) -> Outcome {
    signal_those(web, &info::all(web)?, text(params, 0)?)
}

fn signal_those(web: &Web, services: &[Status], word: &str) -> Outcome {
    let running = services.iter().filter(|it| it.pid.is_some());
    Ok(Value::Array(running.map(|it| result(it, signal(web, it, word))).collect()))
}

/// reloadConfig(): what `update` would do, as lists of names that are new, changed
/// and gone.
pub fn reload(web: &Web, _: &[Value]) -> Outcome {
    let request = Request { dry_run: true, ..Request::new(Command::Reload) };
    let reply = order_of(web, &request)?;
    let named = |wanted: &[&str]| {
        let blocks = reply.blocks.iter().filter(|it| {
            it.get("decision").is_some_and(|decision| wanted.contains(&decision))
                && it.get("service").is_some_and(|name| !name.is_empty())
        });
        let names = blocks.filter_map(|it| Some(Value::String(it.get("service")?.to_owned())));
        Value::Array(names.collect())
    };
    let refused = reply.blocks.iter().find(|it| it.get("decision") == Some("refuse"));
    if let Some(complaint) = refused.and_then(|it| it.get("complaint")) {
        return Err(fault(Code::CantReread, complaint));
    }
    let lists = vec![named(&["start"]), named(&["restart", "apply"]), named(&["stop"])];
    Ok(Value::Array(vec![Value::Array(lists)]))
}

/// addProcessGroup(name): reads the directory, which going does by itself.
pub fn add_group(web: &Web, params: &[Value]) -> Outcome {
    let name = text(params, 0)?;
    let is_there = |web: &Web| info::group(web, name).is_ok();
    if is_there(web) {
        return Err(fault(Code::AlreadyAdded, name));
    }
    order(web, Command::Reload, Vec::new())?;
    if is_there(web) { Ok(Value::Boolean(true)) } else { Err(fault(Code::BadName, name)) }
}

/// removeProcessGroup(name): the same, for a service whose file is gone.
pub fn remove_group(web: &Web, params: &[Value]) -> Outcome {
    let name = text(params, 0)?;
    let services = info::group(web, name)?;
    if services.iter().any(|it| it.pid.is_some()) {
        return Err(fault(Code::StillRunning, name));
    }
    order(web, Command::Reload, Vec::new())?;
    Ok(Value::Boolean(true))
}

/// shutdown()
pub fn shutdown(web: &Web, _: &[Value]) -> Outcome {
    order(web, Command::Shutdown, Vec::new()).map(|_| Value::Boolean(true))
}

/// restart(): reads the directory, and has every service that runs run anew.
pub fn restart(web: &Web, _: &[Value]) -> Outcome {
    order(web, Command::Reload, Vec::new())?;
    let running = info::all(web)?.into_iter().filter(|it| it.is_wanted);
    let names: Vec<String> = running.map(|it| it.name).collect();
    if !names.is_empty() {
        order(web, Command::Restart, names)?;
    }
    Ok(Value::Boolean(true))
}
