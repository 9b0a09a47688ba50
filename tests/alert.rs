//! going-alert as services, mail servers and webhooks meet it: the real program
//! beside a real going, telling real servers, good ones and bad ones.

#![cfg(feature = "alert")]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs and threads"
)]

mod common;

#[path = "alert/bench.rs"]
mod bench;
#[path = "alert/calm.rs"]
mod calm;
#[path = "alert/files.rs"]
mod files;
#[path = "alert/found.rs"]
mod found;
#[path = "alert/listen.rs"]
mod listen;
#[path = "alert/lost.rs"]
mod lost;
#[path = "alert/mail.rs"]
mod mail;
#[path = "web/pypi.rs"]
mod pypi;
#[path = "alert/server.rs"]
mod server;
#[cfg(feature = "web")]
#[expect(dead_code, clippy::panic, reason = "the bench of other tests, of which these need a part")]
#[path = "web/site.rs"]
mod site;
#[cfg(feature = "web")]
#[path = "alert/superlance.rs"]
mod superlance;
#[path = "alert/told.rs"]
mod told;
#[path = "alert/webhook.rs"]
mod webhook;
