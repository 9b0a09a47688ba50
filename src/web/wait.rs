//! Waits until an order is carried out, or cannot be.

use std::time::Duration;

use super::Web;
use crate::client::reply::Status;
use crate::client::{Client, Reply, Trouble};
use crate::protocol::{Command, Request, State};
use crate::sys;

/// Longer than the default sequence of a stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// What cannot run at all has ended after this; what is up for so long is taken to be up.
const STEADY: Duration = Duration::from_millis(300);

/// Looks at services whenever something happens, until `is_over` for all of them
/// or the patience is at its end; how they are then.
///
/// # Errors
/// There is no going any more.
pub fn until(
    web: &Web,
    names: &[String],
    serial: u64,
    patience: Duration,
    is_over: impl Fn(&Status) -> bool,
) -> Result<Vec<Status>, Trouble> {
    let until = sys::monotonic().after(patience);
    let mut events = Client::connect(&web.place)?;
    let follow = Request { since: Some(serial), follow: true, ..Request::new(Command::Events) };
    events.send(&follow)?;
    let mut asking = Client::connect(&web.place)?;
    loop {
        let question = Request { names: names.to_vec(), ..Request::new(Command::Status) };
        let reply = asking.ask(&question)?;
        let services: Vec<Status> = reply.blocks.iter().filter_map(Status::read).collect();
        let left = until.since(sys::monotonic());
        if services.iter().all(&is_over) || left.is_zero() {
            return Ok(services);
        }
        // One event, and whatever comes with it; that time passes, none tells.
        let is_time = services.iter().any(|it| it.is(State::Up) && !is_steady(it));
        events.next(if is_time { left.min(STEADY) } else { left })?;
        while events.next(Duration::from_millis(1))?.is_some() {}
    }
}

fn is_steady(service: &Status) -> bool {
    service.since.is_none_or(|since| since >= STEADY)
}

/// Whether a service is up to stay, or nothing more happens to it as [`is_settled`] has it.
pub fn is_settled_to_stay(service: &Status) -> bool {
    is_settled(service) && (!service.is(State::Up) || is_steady(service))
}

/// Whether nothing more happens to a service without somebody asking for it, or
/// not soon.
pub fn is_settled(service: &Status) -> bool {
    match State::read(&service.state) {
        Some(State::Up) => service.is_wanted,
        Some(State::Down | State::Quarantined | State::Done | State::Failed | State::Disabled)
        | None => true,
        Some(_) => false,
    }
}

/// The states in which an order leaves the services it was about.
///
/// # Errors
/// As [`until`].
pub fn settled(web: &Web, reply: &Reply) -> Result<Vec<(String, String)>, Trouble> {
    let names = reply.blocks.iter().filter_map(|block| block.get("service"));
    let names: Vec<String> = names.map(str::to_owned).collect();
    let services = until(web, &names, reply.serial, PATIENCE, is_settled)?;
    Ok(services.into_iter().map(|it| (it.name, it.state)).collect())
}
