//! Answers in JSON: the keys of the protocol with `_` for `-`, numbers as
//! numbers, what may be repeated as lists. A service always has all of its keys,
//! so that nobody has to ask whether one is there.

use serde_json::{Map, Value, json};

use super::Reply;
use super::reply::Status;
use super::usage::Row;
use crate::config::keys::{Effect, Key};
use crate::protocol::Message;

/// Keys whose values are numbers, besides those that end in `-ms`.
const NUMBERS: [&str; 11] = [
    "pid",
    "starts",
    "strikes",
    "row",
    "serial",
    "lost",
    "exit",
    "last-exit",
    "death",
    "health-failed",
    "health-fails",
];

/// Keys whose values are `yes`, or which are not there.
const FLAGS: [&str; 8] = [
    "core",
    "last-core",
    "out-of-memory",
    "last-out-of-memory",
    "ordered",
    "last-ordered",
    "first",
    "refused",
];

/// Keys that may be repeated.
const LISTS: [&str; 5] = ["tag", "listen", "waits-for", "complaint", "policy"];

/// What a service wrote before it died, or why that cannot be told; nothing if
/// it did not die, or what it wrote goes elsewhere.
pub type LastWords = Option<Result<Vec<Vec<u8>>, String>>;

/// Every key a service has, be there a value or not.
const STATUS: [&str; 33] = [
    "service",
    "description",
    "want",
    "state",
    "pid",
    "uptime-ms",
    "since-ms",
    "starts",
    "strikes",
    "row",
    "next",
    "next-ms",
    "signal",
    "last-exit",
    "last-signal",
    "last-core",
    "last-out-of-memory",
    "last-fault",
    "last-ran-ms",
    "last-ago-ms",
    "last-ordered",
    "last-strike",
    "tag",
    "listen",
    "waits-for",
    "complaint",
    "refused",
    "file",
    "cmd",
    "policy",
    "log",
    "log-stderr",
    "cgroup",
];

/// Every key a death has.
const DEATH: [&str; 10] = [
    "exit",
    "signal",
    "core",
    "out-of-memory",
    "fault",
    "ran-ms",
    "ago-ms",
    "ordered",
    "strike",
    "first",
];

fn name(key: &str) -> String {
    key.replace('-', "_")
}

fn value(message: &Message, key: &str) -> Value {
    if LISTS.contains(&key) {
        return message.all(key).collect();
    }
    if FLAGS.contains(&key) {
        return (message.get(key) == Some("yes")).into();
    }
    let is_number = key.ends_with("-ms") || NUMBERS.contains(&key);
    match message.get(key) {
        // An exit may be unknown.
        Some(text) if is_number => {
            message.number(key).map_or_else(|| text.into(), serde_json::Value::from)
        }
        text => text.into(),
    }
}

/// A message as an object.
pub fn object(message: &Message) -> Map<String, Value> {
    message.pairs().map(|(key, _)| (name(key), value(message, key))).collect()
}

/// A block of status or why, with all of its keys.
pub fn service(message: &Message, row: Option<&Row>) -> Map<String, Value> {
    let mut object = object(message);
    for key in STATUS {
        object.entry(name(key)).or_insert_with(|| value(message, key));
    }
    for counted in ["starts", "strikes", "row"] {
        if let Some(place) = object.get_mut(counted).filter(|it| it.is_null()) {
            *place = 0.into();
        }
    }
    let usage = row.and_then(|(_, usage)| *usage);
    object.insert("memory_bytes".to_owned(), usage.map(|usage| usage.memory).into());
    let cpu = usage.and_then(|usage| u64::try_from(usage.cpu.as_millis()).ok());
    object.insert("cpu_ms".to_owned(), cpu.into());
    object
}

/// A value on lines of its own, for people may read it, too.
fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn unknown(reply: &Reply) -> Value {
    let strangers = reply.strangers().into_iter();
    strangers.map(|it| json!({ "name": it.name, "nearest": it.nearest })).collect()
}

/// What `status` answers.
pub fn status(reply: &Reply, rows: &[Row]) -> String {
    let blocks = reply.blocks.iter().filter(|block| Status::read(block).is_some());
    let services = blocks.zip(rows).map(|(block, row)| Value::Object(service(block, Some(row))));
    pretty(&json!({
        "serial": reply.serial,
        "services": services.collect::<Value>(),
        "unknown": unknown(reply),
    }))
}

/// What `why` answers: services, each with its deaths, and what it wrote last.
pub fn why(reply: &Reply, rows: &[Row], words: &[LastWords]) -> String {
    let mut services: Vec<Map<String, Value>> = Vec::new();
    for block in &reply.blocks {
        if Status::read(block).is_some() {
            let mut object = service(block, rows.get(services.len()));
            object.insert("deaths".to_owned(), json!([]));
            let words = words.get(services.len()).and_then(Option::as_ref);
            let words = words.and_then(|words| words.as_ref().ok());
            let words =
                words.map(|it| it.iter().map(|line| String::from_utf8_lossy(line)).collect());
            object.insert("last_lines".to_owned(), words.unwrap_or(Value::Null));
            services.push(object);
            continue;
        }
        let deaths = services.last_mut().and_then(|it| it.get_mut("deaths")?.as_array_mut());
        if let Some(deaths) = deaths.filter(|_| block.get("death").is_some()) {
            let keys = DEATH.map(|key| (name(key), value(block, key)));
            deaths.push(Value::Object(keys.into_iter().collect()));
        }
    }
    pretty(&json!({
        "serial": reply.serial,
        "services": services,
        "unknown": unknown(reply),
    }))
}

/// What an order, or `reload`, answers: its blocks, as `name`. Services of which
/// more is known by now are in these `states`.
pub fn blocks(reply: &Reply, name: &str, states: &[(String, String)]) -> String {
    let known = reply.blocks.iter().filter(|block| block.get("service").is_some());
    let blocks = known.map(|block| {
        let mut object = object(block);
        let service = block.get("service").unwrap_or_default();
        if let Some((_, state)) = states.iter().find(|(name, _)| name == service) {
            object.insert("state".to_owned(), state.as_str().into());
        }
        Value::Object(object)
    });
    let blocks: Value = blocks.collect();
    let mut answer = Map::new();
    answer.insert("serial".to_owned(), reply.serial.into());
    answer.insert(name.to_owned(), blocks);
    answer.insert("unknown".to_owned(), unknown(reply));
    pretty(&answer.into())
}

/// One event, on one line.
pub fn event(message: &Message, time: Option<String>) -> String {
    let mut object = object(message);
    object.insert("time".to_owned(), time.into());
    format!("{}\n", Value::Object(object))
}

/// Figures of one thing.
pub fn figures(figures: &[(&str, Value)]) -> String {
    let pairs = figures.iter().map(|(key, value)| (name(key), value.clone()));
    pretty(&pairs.collect::<Map<_, _>>().into())
}

/// Keys of service files.
pub fn keys<'a>(keys: impl Iterator<Item = &'a Key>) -> String {
    let objects = keys.map(|key| {
        json!({
            "name": key.name,
            "values": key.about().values,
            "default": (!key.about().default.is_empty()).then_some(key.about().default),
            "repeats": key.repeats,
            "restarts": key.effect == Effect::Restart,
            "help": key.about().help,
        })
    });
    pretty(&objects.collect())
}
