//! `goingctl log`, send, fg and what else is about output, on real files and on
//! a going at work.

#[path = "ctl/mod.rs"]
mod client;
mod common;
#[path = "ctl_log/following.rs"]
mod following;
#[path = "ctl_log/logs.rs"]
mod logs;
#[path = "ctl_log/reading.rs"]
mod reading;
#[path = "ctl_log/talking.rs"]
mod talking;
