//! `/api/v1`: what goingctl can do, in JSON. GET asks and changes nothing; POST
//! orders. etc/openapi.json describes all of it.

use serde_json::{Value, json};

use super::Web;
use super::http::{Request, Response};
use super::live::Live;
use super::logs;
use super::route::Answer;
use super::{steps, wait};
use crate::client::json as answers;
use crate::client::reply::Status;
use crate::client::usage::{measured, used};
use crate::client::{self, Reply, Trouble};
use crate::config::signals::read_signal;
use crate::config::{draft, keys};
use crate::protocol::{Command, Request as Question, State};

/// What the machine-readable description says.
const OPENAPI: &str = include_str!("../../etc/openapi.json");

/// Lines of a log, unless somebody says how many.
const LINES: u64 = 100;

/// More than this is no question any more.
const LINES_MAX: u64 = 10_000;

pub fn in_json(status: u16, text: impl Into<Vec<u8>>) -> Response {
    Response::new(status, "application/json", text)
}

/// A refusal for programs and people.
pub fn refuse(status: u16, code: &str, message: &str) -> Response {
    in_json(status, format!("{:#}\n", json!({ "error": { "code": code, "message": message } })))
}

fn troubled(trouble: &Trouble) -> Response {
    let (status, code) = match trouble {
        Trouble::NoGoing(_) | Trouble::HungUp(_) => (503, "no-going"),
        Trouble::Usage(_) => (400, "invalid"),
        Trouble::Failed(_) | Trouble::Unheard => (502, "failed"),
    };
    refuse(status, code, trouble.sentence().unwrap_or(""))
}

/// What going refused, if it did.
pub fn refused(reply: &Reply) -> Option<Response> {
    let strangers = reply.strangers();
    if let Some(stranger) = strangers.first() {
        return Some(refuse(404, "unknown-service", &stranger.sentence()));
    }
    let code = reply.code.as_deref()?;
    let status = match code {
        "denied" => 403,
        "unknown-service" => 404,
        "invalid" | "unknown-command" | "version" => 400,
        _ => 409,
    };
    let told = || reply.blocks.iter().find_map(|block| block.get("message"));
    Some(refuse(status, code, reply.message.as_deref().or_else(told).unwrap_or(code)))
}

fn unknown() -> Response {
    refuse(404, "unknown-address", "there is nothing here; see /api/v1/openapi.json")
}

/// How an address below `/api/v1` can be asked; nothing if there is none like it.
pub fn methods(parts: &[&str]) -> Option<&'static str> {
    let is_order = |word: &str| ORDERS.iter().any(|(it, _)| *it == word);
    match parts {
        ["services" | "events" | "self" | "version" | "keys" | "openapi.json"]
        | ["services", _]
        | ["services", _, "why" | "log" | "wait"]
        | ["services", _, "log", "stream"]
        | ["events", "stream"] => Some("GET, HEAD"),
        ["reload" | "reopen-logs" | "upgrade" | "shutdown" | "check"] => Some("POST"),
        ["services", _, word] | [word] if is_order(word) => Some("POST"),
        _ => None,
    }
}

/// A question asked as an order, or the other way round.
pub fn wrong_method(allowed: &'static str) -> Response {
    let why = if allowed == "POST" {
        "an order is sent with POST"
    } else {
        "a question is asked with GET"
    };
    refuse(405, "invalid", why).with("Allow", allowed)
}

/// The value of a question that is asked once.
pub fn only<'a>(request: &'a Request, key: &str) -> Result<Option<&'a str>, Response> {
    let mut values = request.query.iter().filter(|(name, _)| name == key);
    let value = values.next().map(|(_, value)| value.as_str());
    match values.next() {
        None => Ok(value),
        Some(_) => Err(refuse(400, "invalid", &format!("{key}= is there twice"))),
    }
}

/// Answers an address below `/api/v1`.
pub fn answer(web: &Web, request: &Request, parts: &[&str]) -> Answer {
    let is_read = request.method != "POST";
    match (is_read, parts) {
        (true, ["services", name, "log", "stream"]) => follow(web, request, name),
        (true, ["events", "stream"]) => match since(request) {
            Ok(since) => Answer::Endless(Live::events(since)),
            Err(response) => response.into(),
        },
        (true, parts) => look(web, request, parts).into(),
        (false, parts) => order(web, request, parts).into(),
    }
}

fn look(web: &Web, request: &Request, parts: &[&str]) -> Response {
    let answered = match parts {
        ["services"] => services(web, request),
        ["services", name] => service(web, name),
        ["services", name, "why"] => why(web, name),
        ["services", name, "wait"] => steps::wait_for(web, request, exactly(name)),
        ["services", name, "log"] => return log(web, request, name).unwrap_or_else(|it| it),
        ["events"] => match since(request) {
            Ok(since) => events(web, since),
            Err(response) => return response,
        },
        ["self"] => own(web),
        ["version"] => version(web),
        ["keys"] => Ok(in_json(200, answers::keys(keys::all()))),
        ["openapi.json"] => Ok(in_json(200, OPENAPI)),
        _ => return unknown(),
    };
    answered.unwrap_or_else(|trouble| troubled(&trouble))
}

/// Asks about services named so.
fn ask(web: &Web, command: Command, names: Vec<String>) -> Result<Reply, Trouble> {
    client::ask(&web.place, &Question { names, ..Question::new(command) })
}

fn services(web: &Web, request: &Request) -> Result<Response, Trouble> {
    let names = request.query.iter().filter(|(key, _)| key == "name");
    let names: Vec<String> = names.map(|(_, value)| value.clone()).collect();
    let reply = ask(web, Command::Status, names)?;
    if let Some(response) = refused(&reply) {
        return Ok(response);
    }
    let usages = web.meter.measure(reply.blocks.iter().filter(|it| answers::is_service(it)));
    Ok(in_json(200, answers::status(&reply, &usages)))
}

fn service(web: &Web, name: &str) -> Result<Response, Trouble> {
    let reply = ask(web, Command::Status, vec![exactly(name)])?;
    if let Some(response) = refused(&reply) {
        return Ok(response);
    }
    let usage = web.meter.measure(reply.blocks.iter()).into_iter().next().flatten();
    let one = reply.blocks.first().map(|block| answers::service(block, usage));
    Ok(one.map_or_else(|| refuse(404, "unknown-service", "it is gone"), |one| in_json(200, one)))
}

/// A name in an address is that of one service, never a pattern or a tag.
fn exactly(name: &str) -> String {
    let is_plain = name.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-@:".contains(&it));
    if is_plain && !name.starts_with('@') { name.to_owned() } else { "?no such name?".to_owned() }
}

fn why(web: &Web, name: &str) -> Result<Response, Trouble> {
    let reply = ask(web, Command::Why, vec![exactly(name)])?;
    if let Some(response) = refused(&reply) {
        return Ok(response);
    }
    let rows = measured(reply.blocks.iter().filter_map(Status::read).collect());
    let words: Vec<_> = rows.iter().map(|row| logs::last_words(&reply, &row.0)).collect();
    Ok(in_json(200, answers::why(&reply, &used(&rows), &words)))
}

fn log(web: &Web, request: &Request, name: &str) -> Result<Response, Response> {
    let lines = match only(request, "lines")?.map(str::parse::<u64>) {
        None => LINES,
        Some(Ok(lines)) if lines <= LINES_MAX => lines,
        Some(_) => return Err(refuse(400, "invalid", "lines= takes a number up to 10000")),
    };
    let is_text = match only(request, "format")? {
        None | Some("json") => false,
        Some("text") => true,
        Some(_) => return Err(refuse(400, "invalid", "format= takes json or text")),
    };
    let sources = find(web, request, name)?;
    match logs::last(sources, lines, only(request, "grep")?) {
        Ok(lines) if is_text => {
            Ok(Response::new(200, "text/plain; charset=utf-8", logs::joined(&lines)))
        }
        Ok(lines) => {
            let lines: Vec<_> = lines.iter().map(|it| String::from_utf8_lossy(it)).collect();
            Ok(in_json(200, format!("{:#}\n", json!({ "service": name, "lines": lines }))))
        }
        Err(why) => Err(refuse(409, "failed", &why)),
    }
}

/// The logs of a service; or why it has none.
fn find(web: &Web, request: &Request, name: &str) -> Result<Vec<client::log::Source>, Response> {
    let reply = ask(web, Command::Status, vec![exactly(name)]).map_err(|it| troubled(&it))?;
    if let Some(response) = refused(&reply) {
        return Err(response);
    }
    let wanted = logs::wanted(only(request, "stream")?)
        .ok_or_else(|| refuse(400, "invalid", "stream= takes stdout, stderr or both"))?;
    let block = reply.blocks.first().ok_or_else(|| refuse(404, "unknown-service", "it is gone"))?;
    client::log::of(block, wanted).map_err(|why| refuse(409, "failed", &why))
}

fn follow(web: &Web, request: &Request, name: &str) -> Answer {
    match find(web, request, name) {
        Ok(sources) => Answer::Endless(Live::log(sources)),
        Err(response) => response.into(),
    }
}

fn since(request: &Request) -> Result<Option<u64>, Response> {
    // A browser that lost us tells the last event it saw.
    if let Some(last) = request.header("last-event-id") {
        return Ok(last.parse().ok());
    }
    let number = only(request, "since")?.map(str::parse).transpose();
    number.map_err(|_| refuse(400, "invalid", "since= takes the number of an event"))
}

fn events(web: &Web, since: Option<u64>) -> Result<Response, Trouble> {
    let question = Question { since, ..Question::new(Command::Events) };
    let reply = client::ask(&web.place, &question)?;
    if let Some(response) = refused(&reply) {
        return Ok(response);
    }
    let events: Vec<Value> = reply.blocks.iter().map(|it| answers::object(it).into()).collect();
    Ok(in_json(200, format!("{:#}\n", json!({ "serial": reply.serial, "events": events }))))
}

fn own(web: &Web) -> Result<Response, Trouble> {
    let reply = client::ask(&web.place, &Question::new(Command::Myself))?;
    let mut object = reply.blocks.first().map(answers::object).unwrap_or_default();
    for number in ["services", "alive", "clients", "turns"] {
        if let Some(Value::String(text)) = object.get(number).cloned() {
            object.insert(number.to_owned(), text.parse::<u64>().ok().into());
        }
    }
    object.insert("serial".to_owned(), reply.serial.into());
    Ok(in_json(200, format!("{:#}\n", Value::from(object))))
}

fn version(web: &Web) -> Result<Response, Trouble> {
    let reply = client::ask(&web.place, &Question::new(Command::Version))?;
    let going = reply.blocks.first().and_then(|block| block.get("version"));
    let versions = json!({ "going": going, "going_web": env!("CARGO_PKG_VERSION") });
    Ok(in_json(200, format!("{versions:#}\n")))
}

/// Whether all that is wanted up is up.
pub fn ready(web: &Web) -> Response {
    let Ok(reply) = client::ask(&web.place, &Question::new(Command::Status)) else {
        return Response::text(503, "going does not answer");
    };
    let services: Vec<Status> = reply.blocks.iter().filter_map(Status::read).collect();
    let is_fine = |it: &&Status| {
        let is_as_wanted = [State::Up, State::Done, State::Listening].iter().any(|at| it.is(*at));
        !it.is_wanted || is_as_wanted || it.unmet.is_some()
    };
    let late = services.iter().filter(|it| !is_fine(it)).count();
    match late {
        0 => Response::text(200, "ready"),
        late => Response::text(503, &format!("{late} of {} are not up", services.len())),
    }
}

/// Orders about services.
pub const ORDERS: [(&str, Command); 10] = [
    ("start", Command::Start),
    ("stop", Command::Stop),
    ("restart", Command::Restart),
    ("retry", Command::Retry),
    ("signal", Command::Signal),
    ("send", Command::Send),
    ("enable", Command::Enable),
    ("disable", Command::Disable),
    ("clear-log", Command::ClearLog),
    ("hup", Command::Hup),
];

fn order(web: &Web, request: &Request, parts: &[&str]) -> Response {
    let body = match request.body.as_slice() {
        [] => Ok(json!({})),
        bytes => serde_json::from_slice::<Value>(bytes),
    };
    let body = match body {
        Ok(body) if body.is_object() => body,
        Ok(_) => return refuse(400, "invalid", "the body must be an object"),
        Err(error) => return refuse(400, "invalid", &format!("the body is no JSON: {error}")),
    };
    let command = |word: &str| ORDERS.iter().find(|(it, _)| *it == word).map(|(_, it)| *it);
    let answered = match parts {
        ["services", name, word] => match command(word) {
            Some(command) => obey(web, command, vec![exactly(name)], &body),
            None => return unknown(),
        },
        ["reload"] => reload(web, &body),
        ["check"] => return check(&body),
        ["reopen-logs"] => simply(web, Command::ReopenLogs),
        ["upgrade"] => simply(web, Command::Upgrade),
        ["shutdown"] => simply(web, Command::Shutdown),
        [word] => match (command(word), names(&body)) {
            (None, _) => return unknown(),
            (_, None) => return refuse(400, "invalid", "`names` must be a list of names"),
            (Some(command), Some(names)) => obey(web, command, names, &body),
        },
        _ => return unknown(),
    };
    answered.unwrap_or_else(|trouble| troubled(&trouble))
}

fn names(body: &Value) -> Option<Vec<String>> {
    let names = body.get("names")?.as_array()?;
    let names: Option<Vec<String>> = names.iter().map(|it| Some(it.as_str()?.to_owned())).collect();
    names.filter(|it| !it.is_empty())
}

/// What is true, false or not said in an order.
fn flag(body: &Value, key: &str) -> Result<bool, Response> {
    match body.get(key) {
        None => Ok(false),
        Some(Value::Bool(is_so)) => Ok(*is_so),
        Some(_) => Err(refuse(400, "invalid", &format!("`{key}` must be true or false"))),
    }
}

fn obey(
    web: &Web,
    command: Command,
    names: Vec<String>,
    body: &Value,
) -> Result<Response, Trouble> {
    let mut question = Question { names, ..Question::new(command) };
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    if command == Command::Signal {
        question.signal = text("signal").and_then(read_signal);
        if question.signal.is_none() {
            return Ok(refuse(400, "invalid", "`signal` must be the name of a signal"));
        }
    }
    if command == Command::Send {
        question.text = text("text").map(str::to_owned);
        if question.text.is_none() {
            return Ok(refuse(400, "invalid", "`text` must be the line to be sent"));
        }
    }
    let is_waiting = match flag(body, "wait") {
        Ok(is_waiting) => is_waiting,
        Err(response) => return Ok(response),
    };
    if command == Command::Restart {
        match flag(body, "rolling") {
            Ok(true) => return steps::rolling(web, question.names),
            Ok(false) => {}
            Err(response) => return Ok(response),
        }
    }
    let reply = client::ask(&web.place, &question)?;
    if let Some(response) = refused(&reply) {
        return Ok(response);
    }
    let states = if is_waiting { wait::settled(web, &reply)? } else { Vec::new() };
    let outcomes = || reply.blocks.iter().filter_map(|block| block.get("outcome"));
    let status = if outcomes().any(|it| it == "failed" || it == "busy") { 409 } else { 200 };
    Ok(in_json(status, answers::blocks(&reply, "services", &states)))
}

fn reload(web: &Web, body: &Value) -> Result<Response, Trouble> {
    let dry_run = match flag(body, "dry_run") {
        Ok(dry_run) => dry_run,
        Err(response) => return Ok(response),
    };
    let reply = client::ask(&web.place, &Question { dry_run, ..Question::new(Command::Reload) })?;
    if let Some(response) = refused(&reply) {
        return Ok(response);
    }
    Ok(in_json(200, answers::blocks(&reply, "decisions", &[])))
}

/// What is wrong with a text, were it the file of a service; it stays one.
fn check(body: &Value) -> Response {
    let said = |key: &str| body.get(key).and_then(Value::as_str);
    let (Some(name), Some(text)) = (said("name"), said("text")) else {
        return refuse(400, "invalid", "`name` and `text` must be those of a service file");
    };
    let complaints = draft::complaints(name, text.as_bytes()).into_iter();
    let complaints: Vec<_> = complaints
        .map(|it| json!({ "line": (it.line > 0).then_some(it.line), "message": it.message }))
        .collect();
    in_json(200, format!("{:#}\n", json!({ "name": name, "complaints": complaints })))
}

fn simply(web: &Web, command: Command) -> Result<Response, Trouble> {
    let reply = client::ask(&web.place, &Question::new(command))?;
    Ok(refused(&reply).unwrap_or_else(|| in_json(202, "{}\n")))
}
