//! Answers in JSON: the keys of the protocol with `_` for `-`, numbers as
//! numbers, what may be repeated as lists. A service always has all of its keys,
//! so that nobody has to ask whether one is there.

use serde_json::{Map, Value, json};

use super::Reply;
use super::usage::Usage;
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

/// What is written of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    /// A number which is 0 where there is none.
    Count,
    Flag,
    List,
}

use Kind::{Count, Flag, List, Number, Text};

/// Every key a service has, be there a value or not, in the order of the answer.
const STATUS: [(&str, Kind); 35] = [
    ("cgroup", Text),
    ("cmd", Text),
    ("complaint", List),
    (CPU, Number),
    ("description", Text),
    ("file", Text),
    ("last-ago-ms", Number),
    ("last-core", Flag),
    ("last-exit", Number),
    ("last-fault", Text),
    ("last-ordered", Flag),
    ("last-out-of-memory", Flag),
    ("last-ran-ms", Number),
    ("last-signal", Text),
    ("last-strike", Text),
    ("listen", List),
    ("log", Text),
    ("log-stderr", Text),
    (MEMORY, Number),
    ("next", Text),
    ("next-ms", Number),
    ("pid", Number),
    ("policy", List),
    ("refused", Flag),
    ("row", Count),
    ("service", Text),
    ("signal", Text),
    ("since-ms", Number),
    ("starts", Count),
    ("state", Text),
    ("strikes", Count),
    ("tag", List),
    ("uptime-ms", Number),
    ("waits-for", List),
    ("want", Text),
];

/// What is not said by going, but measured.
const CPU: &str = "cpu-ms";
const MEMORY: &str = "memory-bytes";

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

fn kind(key: &str) -> Kind {
    if LISTS.contains(&key) {
        List
    } else if FLAGS.contains(&key) {
        Flag
    } else if key.ends_with("-ms") || NUMBERS.contains(&key) {
        Number
    } else {
        Text
    }
}

fn value(message: &Message, key: &str) -> Value {
    match (kind(key), message.get(key)) {
        (List, _) => message.all(key).collect(),
        (Flag, text) => (text == Some("yes")).into(),
        // An exit may be unknown.
        (Number | Count, Some(text)) => {
            message.number(key).map_or_else(|| text.into(), serde_json::Value::from)
        }
        (Number | Count | Text, text) => text.into(),
    }
}

/// A message as an object.
pub fn object(message: &Message) -> Map<String, Value> {
    message.pairs().map(|(key, _)| (name(key), value(message, key))).collect()
}

/// A block of status or why, with all of its keys, as an object of its own.
pub fn service(message: &Message, usage: Option<Usage>) -> String {
    let mut out = Vec::new();
    put_service(&mut out, 0, message, usage);
    out.push(b'\n');
    text(out)
}

/// The same, to be added to.
fn service_object(message: &Message, usage: Option<Usage>) -> Map<String, Value> {
    serde_json::from_str(&service(message, usage)).unwrap_or_default()
}

/// What was put together of texts.
fn text(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap_or_default()
}

/// Writes a service straight out of what going said. Of a hundred services these
/// are four thousand keys, and a map of each takes five times as long as all else.
fn put_service(out: &mut Vec<u8>, depth: usize, message: &Message, usage: Option<Usage>) {
    let millis = |usage: Usage| u64::try_from(usage.cpu.as_millis()).unwrap_or(u64::MAX);
    let measured = usage.map(|usage| (millis(usage).to_string(), usage.memory.to_string()));
    let mut said: Vec<(&str, &str)> = message.pairs().collect();
    if let Some((cpu, memory)) = &measured {
        said.extend([(CPU, cpu.as_str()), (MEMORY, memory.as_str())]);
    }
    // What is repeated stays in its order.
    said.sort_by_key(|pair| pair.0);
    let mut said = said.as_slice();
    let mut usual = STATUS.iter().peekable();
    let mut sign = b'{';
    loop {
        let given = said.first().map(|pair| pair.0);
        let next = usual.next_if(|it| given.is_none_or(|key| it.0 <= key)).copied();
        let Some((key, kind)) = next.or(given.map(|key| (key, kind(key)))) else { break };
        let count = said.iter().take_while(|pair| pair.0 == key).count();
        let (values, rest) = said.split_at_checked(count).unwrap_or((said, &[]));
        said = rest;
        out.push(sign);
        sign = b',';
        new_line(out, depth + 1);
        out.push(b'"');
        out.extend(key.bytes().map(|byte| if byte == b'-' { b'_' } else { byte }));
        out.extend_from_slice(b"\": ");
        put_value(out, depth + 1, kind, values);
    }
    new_line(out, depth);
    out.push(b'}');
}

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', 2 * depth));
}

fn put_value(out: &mut Vec<u8>, depth: usize, kind: Kind, values: &[(&str, &str)]) {
    let first = values.first().map(|pair| pair.1);
    match (kind, first) {
        (Flag, said) => {
            let word: &[u8] = if said == Some("yes") { b"true" } else { b"false" };
            out.extend_from_slice(word);
        }
        (List, None) => out.extend_from_slice(b"[]"),
        (List, Some(_)) => {
            let mut sign = b'[';
            for (_, value) in values {
                out.push(sign);
                sign = b',';
                new_line(out, depth + 1);
                put_text(out, value);
            }
            new_line(out, depth);
            out.push(b']');
        }
        (Count, None) => out.push(b'0'),
        (Number | Text, None) => out.extend_from_slice(b"null"),
        (Number | Count, Some(said)) => match said.parse::<u64>() {
            Ok(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Err(_) => put_text(out, said),
        },
        (Text, Some(said)) => put_text(out, said),
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.bytes().any(is_special) {
        // Into memory, where nothing can fail.
        let _ = serde_json::to_writer(out, text);
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// A value on lines of its own, for people may read it, too.
fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Whether a block tells of a service that there is.
pub fn is_service(block: &Message) -> bool {
    let has = |key| block.get(key).is_some_and(|it| !it.is_empty());
    has("service") && has("state")
}

fn unknown(reply: &Reply) -> Value {
    let strangers = reply.strangers().into_iter();
    strangers.map(|it| json!({ "name": it.name, "nearest": it.nearest })).collect()
}

/// What `status` answers, with what each of its services uses.
pub fn status(reply: &Reply, usages: &[Option<Usage>]) -> String {
    /// In bytes, of one service. A guess saves the copies of growing.
    const ROOM: usize = 1280;
    let mut out = Vec::with_capacity(reply.blocks.len().saturating_mul(ROOM) + 64);
    out.extend_from_slice(b"{\n  \"serial\": ");
    out.extend_from_slice(reply.serial.to_string().as_bytes());
    out.extend_from_slice(b",\n  \"services\": [");
    let blocks = reply.blocks.iter().filter(|block| is_service(block));
    let mut is_first = true;
    for (block, usage) in blocks.zip(usages) {
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        new_line(&mut out, 2);
        put_service(&mut out, 2, block, *usage);
    }
    if !is_first {
        new_line(&mut out, 1);
    }
    out.extend_from_slice(b"],\n  \"unknown\": ");
    // One that has lines of its own begins them where it stands.
    let unknown = format!("{:#}", unknown(reply)).replace('\n', "\n  ");
    out.extend_from_slice(unknown.as_bytes());
    out.extend_from_slice(b"\n}\n");
    text(out)
}

/// What `why` answers: services, each with its deaths, and what it wrote last.
pub fn why(reply: &Reply, usages: &[Option<Usage>], words: &[LastWords]) -> String {
    let mut services: Vec<Map<String, Value>> = Vec::new();
    for block in &reply.blocks {
        if is_service(block) {
            let usage = usages.get(services.len()).copied().flatten();
            let mut object = service_object(block, usage);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn services_are_written_as_a_map_would_be() {
        let blocks = [
            "service=a\nstate=up\n",
            "service=b\nstate=\"up\\\\\npid=12\nlast-exit=unknown\nstarts=003\nstage=x\nhealth=ok\n\
             health-failed=1\nwaits-for=z down\nwaits-for=y up\npolicy=a=\\n\u{e4}\nzebra=1\nlast-core=yes\n",
        ];
        let blocks = blocks.map(|text| Message::parse(text.as_bytes()).unwrap());
        let usage = Usage { memory: 4096, cpu: Duration::from_millis(17) };
        let reply = Reply { blocks: blocks.to_vec(), serial: 7, ..Reply::default() };
        let services = [(&blocks[0], None), (&blocks[1], Some(usage))].map(|(block, usage)| {
            let mut map = object(block);
            for (key, _) in STATUS {
                map.entry(name(key)).or_insert_with(|| value(block, key));
            }
            for counted in ["starts", "strikes", "row"] {
                let place = map.get_mut(counted).unwrap();
                if place.is_null() {
                    *place = 0.into();
                }
            }
            map.insert("memory_bytes".to_owned(), usage.map(|it| it.memory).into());
            map.insert("cpu_ms".to_owned(), usage.map(|_| 17).into());
            Value::Object(map)
        });
        let told = status(&reply, &[None, Some(usage)]);
        let whole = json!({ "serial": 7, "services": services, "unknown": [] });
        assert_eq!(told, pretty(&whole));
        assert_eq!(service(&blocks[1], Some(usage)), pretty(&services[1]));
        assert_eq!(
            status(&Reply::default(), &[]),
            pretty(&json!({
                "serial": 0, "services": [], "unknown": [],
            }))
        );
        let stranger = Message::parse(b"code=unknown-service\nname=x\n").unwrap();
        let reply = Reply { blocks: vec![stranger], ..Reply::default() };
        let unknown = json!([{ "name": "x", "nearest": null }]);
        let whole = json!({ "serial": 0, "services": [], "unknown": unknown });
        assert_eq!(status(&reply, &[]), pretty(&whole));
    }

    #[test]
    fn usual_keys_are_in_the_order_of_the_answer() {
        assert!(STATUS.is_sorted_by(|one, other| one.0 < other.0));
        for (key, kind_there) in STATUS.into_iter().filter(|it| ![CPU, MEMORY].contains(&it.0)) {
            let is_count = ["starts", "strikes", "row"].contains(&key);
            assert_eq!(kind_there, if is_count { Count } else { kind(key) }, "{key}");
        }
    }
}
