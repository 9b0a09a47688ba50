//! Supervisor's faults, by its numbers and names.

use dxr::{Fault, Value};

use crate::client::Trouble;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// There is no such method.
    UnknownMethod = 1,
    /// It does not take these parameters.
    IncorrectParameters = 2,
    /// Their values make no sense.
    BadArguments = 3,
    /// There is nothing to say about the method.
    SignatureUnsupported = 4,
    /// There is no such service.
    BadName = 10,
    /// There is no such signal.
    BadSignal = 11,
    /// There is no such file, or no log.
    NoFile = 20,
    /// The command cannot be executed.
    NotExecutable = 21,
    /// It was tried.
    Failed = 30,
    /// It died too soon.
    AbnormalTermination = 40,
    /// It could not be started.
    SpawnError = 50,
    /// It runs already.
    AlreadyStarted = 60,
    /// It does not run.
    NotRunning = 70,
    /// Nothing is wrong; only in lists of results.
    Success = 80,
    /// It is known already.
    AlreadyAdded = 90,
    /// It runs still.
    StillRunning = 91,
    /// The directory cannot be read, or a file is wrong.
    CantReread = 92,
}

impl Code {
    /// Supervisor's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Code::UnknownMethod => "UNKNOWN_METHOD",
            Code::IncorrectParameters => "INCORRECT_PARAMETERS",
            Code::BadArguments => "BAD_ARGUMENTS",
            Code::SignatureUnsupported => "SIGNATURE_UNSUPPORTED",
            Code::BadName => "BAD_NAME",
            Code::BadSignal => "BAD_SIGNAL",
            Code::NoFile => "NO_FILE",
            Code::NotExecutable => "NOT_EXECUTABLE",
            Code::Failed => "FAILED",
            Code::AbnormalTermination => "ABNORMAL_TERMINATION",
            Code::SpawnError => "SPAWN_ERROR",
            Code::AlreadyStarted => "ALREADY_STARTED",
            Code::NotRunning => "NOT_RUNNING",
            Code::Success => "SUCCESS",
            Code::AlreadyAdded => "ALREADY_ADDED",
            Code::StillRunning => "STILL_RUNNING",
            Code::CantReread => "CANT_REREAD",
        }
    }
}

/// A fault, and what it is about, if there is something to say.
pub fn fault(code: Code, about: &str) -> Fault {
    let text =
        if about.is_empty() { code.name().to_owned() } else { format!("{}: {about}", code.name()) };
    Fault::new(code as i32, text)
}

/// A fault among the values of a multicall.
pub fn value(fault: &Fault) -> Value {
    let fields = [
        ("faultCode".to_owned(), Value::Integer(fault.code())),
        ("faultString".to_owned(), Value::String(fault.string().to_owned())),
    ];
    Value::Struct(fields.into())
}

/// There was no answer from going.
pub fn troubled(trouble: &Trouble) -> Fault {
    fault(Code::Failed, trouble.sentence().unwrap_or("no answer"))
}
