//! `going` keeps processes going.
//!
//! The life of a service, told once: a file appears in the directory, and
//! [`config`] makes a spec of its text. [`supervise`] decides, as a pure
//! function of what happened and when, that it is to be started. [`daemon`] does
//! so, through [`sys`], where all that is unsafe lives; sees it run, sees it
//! die, and tells the core each of these as an event. Died too soon, it is
//! quarantined; its file gone, it is stopped, and forgotten when its last
//! process is dead.
//!
//! Decisions are made in pure code, deeds are done in one place, and imports go
//! one way: bin, daemon, supervise, config. The programs that ask going do so
//! through [`client`].

#[cfg(feature = "alert")]
pub mod alert;
pub mod client;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod log;
pub mod protocol;
pub mod supervise;
pub mod sys;
#[cfg(feature = "web")]
pub mod web;
