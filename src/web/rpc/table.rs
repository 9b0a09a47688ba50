//! The one table of methods: what is called, listed, described and guarded.

use dxr::{Fault, Value};

use super::Outcome;
use super::control::{self, text};
use super::fault::{Code, fault, troubled};
use super::{info, output};
use crate::client;
use crate::protocol::{Command, Request};
use crate::web::Web;

/// A method.
pub struct Method {
    /// Without `supervisor.`.
    pub name: &'static str,
    /// The type of its value, and those of its parameters.
    pub signature: &'static [&'static str],
    /// In one sentence.
    help: &'static str,
    /// Whether it changes anything.
    pub changes: bool,
    /// What it does.
    pub call: fn(&Web, &[Value]) -> Outcome,
}

const fn ask(
    name: &'static str,
    signature: &'static [&'static str],
    help: &'static str,
    call: fn(&Web, &[Value]) -> Outcome,
) -> Method {
    Method { name, signature, help, changes: false, call }
}

const fn order(
    name: &'static str,
    signature: &'static [&'static str],
    help: &'static str,
    call: fn(&Web, &[Value]) -> Outcome,
) -> Method {
    Method { name, signature, help, changes: true, call }
}

const NAME: [&str; 2] = ["boolean", "string"];
const NAME_WAIT: [&str; 3] = ["boolean", "string", "boolean"];
const NAMES_WAIT: [&str; 3] = ["array", "string", "boolean"];
const SLICE: [&str; 4] = ["string", "string", "int", "int"];
const TAIL: [&str; 4] = ["array", "string", "int", "int"];
const READ_OUT: &str = "Read from the log of a process's stdout.";
const TAIL_OUT: &str = "Read the end of the log of a process's stdout.";
const NEWS: &str = "Tell listeners something; going has none, and tells nobody.";
const CLEAR: &str = "Empty the logs of a process, and remove their backups.";

/// Those after `supervisor.`.
static METHODS: [Method; 37] = [
    ask("getAPIVersion", &["string"], "The version of this interface.", |_, _| version("3.0")),
    ask("getVersion", &["string"], "The same, by its older name.", |_, _| version("3.0")),
    ask(
        "getSupervisorVersion",
        &["string"],
        "The version of supervisor that is played.",
        |_, _| version("4.2.5"),
    ),
    ask("getIdentification", &["string"], "Who answers.", |_, _| version("going")),
    ask("getState", &["struct"], "How going is.", state),
    ask("getPID", &["int"], "The process of going.", pid),
    ask("readLog", &["string", "int", "int"], "What happened lately.", output::read_report),
    ask("readMainLog", &["string", "int", "int"], "The same.", output::read_report),
    order("clearLog", &["boolean"], "Going keeps no log of its own.", output::clear_report),
    order("shutdown", &["boolean"], "Stop all, and going.", control::shutdown),
    order("restart", &["boolean"], "Read the directory, restart what runs.", control::restart),
    order("reloadConfig", &["array"], "What reading the directory would do.", control::reload),
    order("addProcessGroup", &NAME, "Read the directory for a service.", control::add_group),
    order("removeProcessGroup", &NAME, "Forget a service that is gone.", control::remove_group),
    order("startProcess", &NAME_WAIT, "Start a process.", control::start_process),
    order("startProcessGroup", &NAMES_WAIT, "Start all of a group.", control::start_group),
    order("startAllProcesses", &["array", "boolean"], "Start all.", control::start_all),
    order("stopProcess", &NAME_WAIT, "Stop a process.", control::stop_process),
    order("stopProcessGroup", &NAMES_WAIT, "Stop all of a group.", control::stop_group),
    order("stopAllProcesses", &["array", "boolean"], "Stop all.", control::stop_all),
    order(
        "signalProcess",
        &["boolean", "string", "string"],
        "Signal a process.",
        control::signal_process,
    ),
    order(
        "signalProcessGroup",
        &["array", "string", "string"],
        "Signal a group.",
        control::signal_group,
    ),
    order("signalAllProcesses", &["array", "string"], "Signal all.", control::signal_all),
    ask("getAllConfigInfo", &["array"], "How processes are set up.", configurations),
    ask("getProcessInfo", &["struct", "string"], "How a process is.", process),
    ask("getAllProcessInfo", &["array"], "How all processes are.", processes),
    ask("readProcessStdoutLog", &SLICE, READ_OUT, output::read_stdout),
    ask("readProcessLog", &SLICE, READ_OUT, output::read_stdout),
    ask("readProcessStderrLog", &SLICE, "The same of stderr.", output::read_stderr),
    ask("tailProcessStdoutLog", &TAIL, TAIL_OUT, output::tail_stdout),
    ask("tailProcessLog", &TAIL, TAIL_OUT, output::tail_stdout),
    ask("tailProcessStderrLog", &TAIL, "The same of stderr.", output::tail_stderr),
    order("clearProcessLogs", &NAME, CLEAR, output::clear),
    order("clearProcessLog", &NAME, CLEAR, output::clear),
    order("clearAllProcessLogs", &["array"], "Empty all logs.", output::clear_all),
    order("sendProcessStdin", &["boolean", "string", "string"], "Send a line.", output::send),
    order("sendRemoteCommEvent", &["boolean", "string", "string"], NEWS, output::send_event),
];

/// The method of this name.
pub fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// Those of the interface itself.
const SYSTEM: [(&str, &[&str], &str); 4] = [
    ("listMethods", &["array"], "The names of all methods."),
    ("methodHelp", &["string", "string"], "What a method does."),
    ("methodSignature", &["array", "string"], "The types of its value and parameters."),
    ("multicall", &["array", "array"], "Many calls in one."),
];

/// The names of all methods.
pub fn names() -> Value {
    let ours = METHODS.iter().map(|method| format!("supervisor.{}", method.name));
    let system = SYSTEM.iter().map(|(name, _, _)| format!("system.{name}"));
    let mut names: Vec<String> = ours.chain(system).collect();
    names.sort();
    Value::Array(names.into_iter().map(Value::String).collect())
}

fn described(params: &[Value]) -> Result<(&'static [&'static str], &'static str), Fault> {
    let name = text(params, 0)?;
    let found = match name.split_once('.') {
        Some(("supervisor", name)) => find(name).map(|it| (it.signature, it.help)),
        Some(("system", name)) => {
            SYSTEM.iter().find(|it| it.0 == name).map(|(_, signature, help)| (*signature, *help))
        }
        _ => None,
    };
    found.ok_or_else(|| fault(Code::SignatureUnsupported, ""))
}

/// What a method does.
pub fn help(params: &[Value]) -> Outcome {
    described(params).map(|(_, help)| Value::String(help.to_owned()))
}

/// The types of its value and parameters.
pub fn signature(params: &[Value]) -> Outcome {
    let (signature, _) = described(params)?;
    let words = signature.iter().map(|word| Value::String((*word).to_owned()));
    Ok(Value::Array(words.collect()))
}

fn version(version: &str) -> Outcome {
    Ok(Value::String(version.to_owned()))
}

fn state(_: &Web, _: &[Value]) -> Outcome {
    let fields = [
        ("statecode".to_owned(), Value::Integer(1)),
        ("statename".to_owned(), Value::String("RUNNING".to_owned())),
    ];
    Ok(Value::Struct(fields.into()))
}

fn pid(web: &Web, _: &[Value]) -> Outcome {
    let reply = client::ask(&web.place, &Request::new(Command::Myself));
    let reply = reply.map_err(|trouble| troubled(&trouble))?;
    let pid = reply.blocks.first().and_then(|block| block.number("pid"));
    Ok(Value::Integer(pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0)))
}

fn process(web: &Web, params: &[Value]) -> Outcome {
    let (block, service) = info::find(web, text(params, 0)?)?;
    Ok(info::value(&block, &service, info::now()))
}

fn processes(web: &Web, _: &[Value]) -> Outcome {
    let reply = info::ask(web, Vec::new())?;
    let now = info::now();
    let services = reply.blocks.iter().filter_map(|block| {
        let service = client::reply::Status::read(block)?;
        Some(info::value(block, &service, now))
    });
    Ok(Value::Array(services.collect()))
}

fn configurations(web: &Web, _: &[Value]) -> Outcome {
    let services = info::all(web)?.into_iter().map(|service| {
        let fields = [
            ("name", Value::String(service.name.clone())),
            ("group", Value::String(service.name)),
            ("inuse", Value::Boolean(true)),
            ("autostart", Value::Boolean(service.is_wanted)),
            ("command", Value::String(service.cmd.unwrap_or_default())),
            ("process_prio", Value::Integer(999)),
            ("group_prio", Value::Integer(999)),
        ];
        Value::Struct(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    });
    Ok(Value::Array(services.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_listed_once_and_described() {
        let Value::Array(names) = names() else { panic!() };
        assert_eq!(names.len(), METHODS.len() + SYSTEM.len());
        for (index, name) in names.iter().enumerate() {
            assert!(!names[index + 1..].contains(name), "{name:?}");
            assert!(help(std::slice::from_ref(name)).is_ok(), "{name:?}");
            assert!(signature(std::slice::from_ref(name)).is_ok(), "{name:?}");
        }
        let odd = [Value::String("supervisor.odd".to_owned())];
        assert_eq!(help(&odd).unwrap_err().code(), 4);
        assert_eq!(help(&[]).unwrap_err().code(), 2);
    }
}
