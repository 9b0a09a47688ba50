//! going-alert(8): somebody is told. It follows what happens to services, writes
//! what somebody wants to know into a spool on disk, and sends it from there, so that
//! neither its own death nor that of a mail server costs a message. It never
//! commands a service, and nobody who is slow to listen keeps another one waiting.

mod answer;
mod deliver;
mod desk;
mod door;
mod ear;
mod event;
mod every;
mod finds;
mod folder;
mod follow;
pub mod keys;
mod limit;
mod listen;
mod options;
mod outlet;
mod position;
mod settings;
mod spool;
mod start;
mod trouble;
mod values;

pub use options::HELP;
pub use settings::Settings;
pub use start::main;
