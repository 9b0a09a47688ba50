//! going-web as browsers, programs and strangers meet it: the real program in front
//! of a real going, spoken to over real sockets.

#![cfg(feature = "web")]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs"
)]

mod common;

#[path = "web/api.rs"]
mod api;
#[path = "web/browser.rs"]
mod browser;
#[path = "web/chromium.rs"]
mod chromium;
#[path = "web/crowd.rs"]
mod crowd;
#[path = "web/fronts.rs"]
mod fronts;
#[path = "web/guard.rs"]
mod guard;
#[path = "web/pypi.rs"]
mod pypi;
#[path = "web/schema.rs"]
mod schema;
#[path = "web/service.rs"]
mod service;
#[path = "web/site.rs"]
mod site;
#[path = "web/supervisor.rs"]
mod supervisor;
#[path = "web/watched.rs"]
mod watched;
