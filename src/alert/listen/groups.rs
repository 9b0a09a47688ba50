//! Which services there are. Each is a group of its own to supervisor's programs, and
//! they are told when one comes or goes.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::client::process::Process;
use crate::client::{self, Place};
use crate::protocol::{Command, Message, Request};

/// Of a service whose file is gone nothing tells when it is gone, too.
const ASK: Duration = Duration::from_secs(1);

/// All services.
#[derive(Debug, Default)]
pub struct Groups {
    known: BTreeSet<String>,
    /// Something happened by which they may be gone.
    suspects: BTreeSet<String>,
}

impl Groups {
    /// There is this one, of which nothing was told.
    pub fn note(&mut self, service: &str) {
        self.known.insert(service.to_owned());
    }

    /// Hears what going says; the service that is new by that.
    pub fn hear<'a>(&mut self, message: &'a Message) -> Option<&'a str> {
        let service = message.get("service")?;
        let is_config = message.get("event") == Some("config");
        if is_config {
            self.suspects.insert(service.to_owned());
            // What is only complained about is none yet.
            return None;
        }
        self.known.insert(service.to_owned()).then_some(service)
    }

    /// How long to wait until [`Groups::ask`]; nothing is for ever.
    pub fn patience(&self) -> Option<Duration> {
        (!self.suspects.is_empty()).then_some(ASK)
    }

    /// Those that are gone, and those that came.
    pub fn ask(&mut self, place: &Place) -> (Vec<String>, Vec<String>) {
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        if self.suspects.is_empty() {
            return (gone, new);
        }
        let names = self.suspects.iter().cloned().collect();
        let request = Request { names, ..Request::new(Command::Status) };
        let Ok(reply) = client::ask(place, &request) else { return (gone, new) };
        for name in std::mem::take(&mut self.suspects) {
            let block = reply.blocks.iter().find(|it| it.get("service") == Some(&name));
            match block.and_then(|block| block.get("state")) {
                None if self.known.remove(&name) => gone.push(name),
                None => {}
                Some(state) => {
                    if Process::of(state) == Process::Stopping {
                        self.suspects.insert(name.clone());
                    }
                    if self.known.insert(name.clone()) {
                        new.push(name);
                    }
                }
            }
        }
        (gone, new)
    }
}
