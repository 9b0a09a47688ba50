//! `going-alert listen`: runs programs which were written as event listeners of
//! supervisor, unchanged. They say READY, get an event, and say what came of it; what
//! they did not take is given to them again. The protocol is supervisor's to the
//! byte; what happens is going's.

mod capture;
mod groups;
mod kids;
mod lives;
mod names;
mod news;
mod options;
mod outside;
mod pool;
mod run;
mod ticks;

pub use options::{Listen, read};
pub use run::run;
