//! From the text of a service file to a [`Spec`]. Pure: it reads no file, looks
//! nothing up and knows no clock, so that every complaint can be a golden test.

pub mod care;
pub mod cgroup;
pub mod changes;
pub mod child;
pub mod draft;
pub mod ending;
pub mod env_file;
pub mod grammar;
pub mod hooks;
pub mod instances;
pub mod keys;
pub mod limits;
pub mod listen;
pub mod logs;
pub mod minding;
pub mod names;
pub mod nearest;
pub mod order;
pub mod parse;
pub mod ready;
pub mod signals;
mod spec;
pub mod template;
pub mod values;
pub mod words;

pub use parse::{Complaint, line_of, parse, set_default};
pub use ready::Ready;
pub use spec::{
    Burst, Full, Kind, Log, Policy, Rate, Restart, Signal, Spec, Start, StopStep, Stream, Success,
    Timestamps, Whom,
};
