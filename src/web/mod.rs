//! going-web(8): going's socket for browsers and programs that speak HTTP. It
//! listens to strangers, so it is a program and a user of its own, asks going
//! like any client, and never touches a service, a file of one, or the run
//! directory itself.

mod api;
mod auth;
mod figures;
mod guests;
pub mod http;
mod live;
mod logs;
mod meter;
mod options;
mod page;
pub mod probe;
mod route;
mod rpc;
mod server;
mod start;
mod steps;
mod users;
mod wait;

use crate::client::Place;
use guests::Guests;

pub use options::HELP;
pub use start::main;

/// What all threads share; none of it changes but figures and guests.
#[derive(Debug)]
struct Web {
    /// Where going is.
    place: Place,
    /// Who may come in.
    users: users::Users,
    /// By which names we are called, besides addresses.
    hosts: Vec<String>,
    /// Nobody may change anything.
    is_read_only: bool,
    /// What a form must carry to show that it came from our own page.
    token: String,
    /// What services use.
    meter: meter::Meter,
    /// Whose connections there are.
    guests: Guests,
    /// Those of them which have no end.
    followers: Guests,
}
