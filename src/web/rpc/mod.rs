//! `/RPC2`: supervisor's interface of version 3.0, so that supervisorctl and
//! whatever else was written for supervisor works with going unchanged. Its names,
//! codes and odd corners are supervisor's; what it does is going's.

mod control;
mod fault;
mod info;
mod output;
mod table;

use dxr::{Fault, FaultResponse, MethodCall, MethodResponse, Value};

use super::Web;
use super::auth;
use super::http::{Request, Response};
use super::live::Live;
use super::route::Answer;
use super::users::Role;
use fault::{Code, fault};

/// More calls in one are refused.
const CALLS_MAX: usize = 256;

/// Deeper XML than this is not of any method.
const DEPTH_MAX: usize = 32;

type Outcome = Result<Value, Fault>;

/// Answers a call.
pub fn answer(web: &Web, request: &Request, role: Role) -> Response {
    if !request.is_of_type("text/xml") {
        return Response::text(415, "a call has `Content-Type: text/xml`");
    }
    let text = std::str::from_utf8(&request.body).ok().filter(|text| is_shallow(text));
    let call = text.and_then(|text| MethodCall::from_xml(text).ok());
    let Some(call) = call else { return Response::text(400, "that is no XML-RPC call") };
    let caller = Caller { web, request, role };
    let written = match caller.call(&call.name, &call.params) {
        Ok(value) => MethodResponse { value }.to_xml(),
        Err(fault) => FaultResponse { fault }.to_xml(),
    };
    match written {
        Ok(xml) => Response::new(200, "text/xml", format!("<?xml version='1.0'?>\n{xml}")),
        Err(error) => Response::text(500, &format!("the answer cannot be written: {error}")),
    }
}

/// Whether elements are not too deep inside of each other: whoever reads them
/// does so with recursion.
fn is_shallow(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        let end = after.find('>').unwrap_or(after.len());
        let tag = after.get(..end).unwrap_or_default();
        match tag.bytes().next() {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(b'?' | b'!') | None => {}
            Some(_) if tag.ends_with('/') => {}
            Some(_) => depth += 1,
        }
        if depth > DEPTH_MAX {
            return false;
        }
        rest = after;
    }
    true
}

/// Somebody who calls.
struct Caller<'a> {
    web: &'a Web,
    request: &'a Request,
    role: Role,
}

impl Caller<'_> {
    fn call(&self, name: &str, params: &[Value]) -> Outcome {
        match name {
            "system.listMethods" => Ok(table::names()),
            "system.methodHelp" => table::help(params),
            "system.methodSignature" => table::signature(params),
            "system.multicall" => self.calls(params),
            name => {
                let Some(name) = name.strip_prefix("supervisor.") else {
                    return Err(fault(Code::UnknownMethod, ""));
                };
                let method = table::find(name).ok_or_else(|| fault(Code::UnknownMethod, ""))?;
                if method.changes {
                    let allowed = auth::check_change(self.web, self.request, self.role);
                    allowed.map_err(|_| fault(Code::Failed, "you may only look"))?;
                }
                (method.call)(self.web, params)
            }
        }
    }

    /// Many calls in one: a value or a fault for each, not wrapped in arrays as
    /// others do it, because supervisor does not.
    fn calls(&self, params: &[Value]) -> Outcome {
        let [Value::Array(calls)] = params else {
            return Err(fault(Code::IncorrectParameters, ""));
        };
        if calls.len() > CALLS_MAX {
            return Err(fault(Code::BadArguments, "too many calls"));
        }
        let results = calls.iter().map(|call| {
            let Value::Struct(fields) = call else {
                return fault::value(&fault(Code::IncorrectParameters, ""));
            };
            let name = match fields.get("methodName") {
                // A call in itself could go on for ever.
                Some(Value::String(name)) if name != "system.multicall" => name,
                _ => return fault::value(&fault(Code::IncorrectParameters, "")),
            };
            let params = match fields.get("params") {
                Some(Value::Array(params)) => params.as_slice(),
                None => &[],
                Some(_) => return fault::value(&fault(Code::IncorrectParameters, "")),
            };
            self.call(name, params).unwrap_or_else(|fault| fault::value(&fault))
        });
        Ok(Value::Array(results.collect()))
    }
}

/// The log of a service as it is written, for `supervisorctl tail -f`.
pub fn tail(web: &Web, name: &str, is_stderr: bool) -> Answer {
    match output::sources(web, name, is_stderr) {
        Ok(sources) => Answer::Endless(Live::tail(sources)),
        Err(fault) => Response::text(404, fault.string()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_xml_is_not_read() {
        let nested = |depth: usize| {
            let inside = "<value><array><data>".repeat(depth);
            let outside = "</data></array></value>".repeat(depth);
            format!("<?xml version='1.0'?><methodCall>{inside}<br/>{outside}</methodCall>")
        };
        assert!(is_shallow(&nested(10)) && !is_shallow(&nested(11)));
        assert!(!is_shallow(&"<a>".repeat(100_000)));
        assert!(is_shallow(&"<a/>".repeat(100_000)));
        assert!(is_shallow("") && is_shallow("<") && is_shallow("a < b"));
    }
}
