//! Methods about what processes write and read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use dxr::{Fault, Value};

use super::Outcome;
use super::control::{order_of, text};
use super::fault::{Code, fault, troubled};
use super::info;
use crate::client::log::{Source, Wanted, of};
use crate::client::{self, Reply, listeners};
use crate::protocol::{Command, Request};
use crate::web::Web;

/// In bytes. More in one answer is nothing for XML.
const PIECE_MAX: u64 = 4 * 1024 * 1024;

fn number(params: &[Value], index: usize) -> Result<i64, Fault> {
    match params.get(index) {
        Some(Value::Integer(number)) => Ok(i64::from(*number)),
        _ => Err(fault(Code::IncorrectParameters, "")),
    }
}

/// The log of one stream of a service. What goes to one file together is stdout.
pub fn sources(web: &Web, name: &str, is_stderr: bool) -> Result<Vec<Source>, Fault> {
    let (block, _) = info::find(web, name)?;
    of(&block, Wanted::One { is_stderr }).map_err(|_| fault(Code::NoFile, name))
}

/// Bytes of a log, and how long it is.
fn bytes(web: &Web, name: &str, is_stderr: bool) -> Result<(File, u64), Fault> {
    let sources = sources(web, name, is_stderr)?;
    let source = sources.first().ok_or_else(|| fault(Code::NoFile, name))?;
    let failed = |error: io::Error| {
        let is_absent = error.kind() == io::ErrorKind::NotFound;
        if is_absent {
            fault(Code::NoFile, name)
        } else {
            fault(Code::Failed, &crate::sys::explain(&error))
        }
    };
    let file = File::open(&source.path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((file, length))
}

fn piece(file: &File, from: u64, length: u64) -> Result<String, Fault> {
    let length = usize::try_from(length.min(PIECE_MAX)).unwrap_or(0);
    let mut buffer = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = from.saturating_add(u64::try_from(filled).unwrap_or(0));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) => return Err(fault(Code::Failed, &crate::sys::explain(&error))),
        }
    }
    buffer.truncate(filled);
    Ok(written(&buffer))
}

/// As a text that XML can hold.
fn written(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let is_fine = |it: &char| !it.is_control() || matches!(it, '\n' | '\t' | '\r');
    text.chars().filter(is_fine).collect()
}

/// Where a reading with supervisor's rules begins, and how much it is: with a
/// negative offset it is the end, with no length up to the end.
fn slice(offset: i64, length: i64, size: u64) -> Option<(u64, u64)> {
    if offset < 0 {
        let tail = offset.unsigned_abs().min(size);
        return (length == 0).then_some((size - tail, tail));
    }
    let from = offset.unsigned_abs().min(size);
    match length {
        0 => Some((from, size - from)),
        1.. => Some((from, length.unsigned_abs().min(size - from))),
        _ => None,
    }
}

fn read(web: &Web, params: &[Value], is_stderr: bool) -> Outcome {
    let name = text(params, 0)?;
    let (file, size) = bytes(web, name, is_stderr)?;
    let range = slice(number(params, 1)?, number(params, 2)?, size);
    let (from, length) = range.ok_or_else(|| fault(Code::BadArguments, name))?;
    piece(&file, from, length).map(Value::String)
}

/// readProcessStdoutLog(name, offset, length)
pub fn read_stdout(web: &Web, params: &[Value]) -> Outcome {
    read(web, params, false)
}

/// readProcessStderrLog(name, offset, length)
pub fn read_stderr(web: &Web, params: &[Value]) -> Outcome {
    read(web, params, true)
}

/// What `tail` answers: the bytes, where they end, and whether some were left out.
fn tail(web: &Web, params: &[Value], is_stderr: bool) -> Outcome {
    let name = text(params, 0)?;
    let (offset, length) = (number(params, 1)?.max(0), number(params, 2)?.max(0));
    let (file, size) = bytes(web, name, is_stderr)?;
    let (offset, length) = (offset.unsigned_abs(), length.unsigned_abs());
    let is_over = size > offset.saturating_add(length);
    let from = if is_over { size.saturating_sub(length) } else { offset.min(size) };
    let text = piece(&file, from, size.saturating_sub(from))?;
    let end = i32::try_from(size).unwrap_or(i32::MAX);
    Ok(Value::Array(vec![Value::String(text), Value::Integer(end), Value::Boolean(is_over)]))
}

/// tailProcessStdoutLog(name, offset, length)
pub fn tail_stdout(web: &Web, params: &[Value]) -> Outcome {
    tail(web, params, false)
}

/// tailProcessStderrLog(name, offset, length)
pub fn tail_stderr(web: &Web, params: &[Value]) -> Outcome {
    tail(web, params, true)
}

/// clearProcessLogs(name)
pub fn clear(web: &Web, params: &[Value]) -> Outcome {
    let (_, service) = info::find(web, text(params, 0)?)?;
    let request = Request { names: vec![service.name], ..Request::new(Command::ClearLog) };
    let reply = order_of(web, &request)?;
    judge(&reply)
}

/// clearAllProcessLogs()
pub fn clear_all(web: &Web, _: &[Value]) -> Outcome {
    let mut results = Vec::new();
    for service in info::all(web)? {
        let request =
            Request { names: vec![service.name.clone()], ..Request::new(Command::ClearLog) };
        let outcome = order_of(web, &request).and_then(|reply| judge(&reply));
        let (code, why) = match outcome {
            Ok(_) => (Code::Success as i32, "OK".to_owned()),
            Err(fault) => (fault.code(), fault.string().to_owned()),
        };
        let fields = [
            ("name", Value::String(service.name.clone())),
            ("group", Value::String(service.name)),
            ("status", Value::Integer(code)),
            ("description", Value::String(why)),
        ];
        let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value));
        results.push(Value::Struct(fields.collect()));
    }
    Ok(Value::Array(results))
}

fn judge(reply: &Reply) -> Outcome {
    match reply.blocks.iter().find(|it| it.get("outcome") == Some("failed")) {
        Some(block) => Err(fault(Code::Failed, block.get("message").unwrap_or_default())),
        None => Ok(Value::Boolean(true)),
    }
}

/// sendProcessStdin(name, chars): going sends whole lines.
pub fn send(web: &Web, params: &[Value]) -> Outcome {
    let (name, chars) = (text(params, 0)?, text(params, 1)?);
    let (_, service) = info::find(web, name)?;
    if service.pid.is_none() {
        return Err(fault(Code::NotRunning, name));
    }
    let line = chars.strip_suffix('\n').unwrap_or(chars);
    let request = Request {
        names: vec![service.name],
        text: Some(line.to_owned()),
        ..Request::new(Command::Send)
    };
    match judge(&order_of(web, &request)?) {
        // As supervisor says of a process whose stdin is closed.
        Err(_) => Err(fault(Code::NoFile, name)),
        fine => fine,
    }
}

/// sendRemoteCommEvent(type, data): to all who listen. That nobody does is no fault,
/// as it is none to supervisor.
pub fn send_event(web: &Web, params: &[Value]) -> Outcome {
    let (kind, data) = (text(params, 0)?, text(params, 1)?);
    let told = listeners::tell(&web.place, kind, data.as_bytes());
    told.map_err(|error| fault(Code::BadArguments, &error.to_string()))?;
    Ok(Value::Boolean(true))
}

/// What happened lately, as lines: going's own log goes where its reports go.
fn report(web: &Web) -> Result<String, Fault> {
    let reply = client::ask(&web.place, &Request::new(Command::Events));
    let reply = reply.map_err(|trouble| troubled(&trouble))?;
    let lines = reply.blocks.iter().filter_map(|block| {
        let (was, state) = (block.get("was")?, block.get("state")?);
        Some(format!("{}: {was} -> {state}\n", block.get("service")?))
    });
    Ok(lines.collect())
}

/// readLog(offset, length)
pub fn read_report(web: &Web, params: &[Value]) -> Outcome {
    let text = report(web)?;
    let size = u64::try_from(text.len()).unwrap_or(0);
    let range = slice(number(params, 0)?, number(params, 1)?, size);
    let (from, length) = range.ok_or_else(|| fault(Code::BadArguments, "log"))?;
    let skip = usize::try_from(from).unwrap_or(0);
    let take = usize::try_from(length).unwrap_or(0);
    let bytes: Vec<u8> = text.bytes().skip(skip).take(take).collect();
    Ok(Value::String(written(&bytes)))
}

/// clearLog(): there is none of going's own.
pub fn clear_report(_: &Web, _: &[Value]) -> Outcome {
    Err(fault(Code::NoFile, "log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_cut_by_supervisors_rules() {
        assert_eq!(slice(-10, 0, 100), Some((90, 10)));
        assert_eq!(slice(-200, 0, 100), Some((0, 100)));
        assert_eq!(slice(-10, 5, 100), None);
        assert_eq!(slice(20, 0, 100), Some((20, 80)));
        assert_eq!(slice(20, 30, 100), Some((20, 30)));
        assert_eq!(slice(20, 300, 100), Some((20, 80)));
        assert_eq!(slice(200, 3, 100), Some((100, 0)));
        assert_eq!(slice(0, -1, 100), None);
        assert_eq!(slice(i64::MIN, 0, 5), Some((0, 5)));
    }

    #[test]
    fn what_xml_cannot_hold_is_left_out() {
        assert_eq!(written(b"a\x1b[1mb\0\n\xff"), "a[1mb\n\u{fffd}");
    }
}
