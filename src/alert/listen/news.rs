//! What going says, over every going that comes: what happened while there was no
//! connection is heard when there is one.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::super::position::Origin;
use super::super::start::complain;
use crate::client::{Client, Place, Trouble};
use crate::protocol::{Command, Message, Request};
use crate::supervise::Moment;

/// So often it is looked whether there is a going.
pub const LOOK: Duration = Duration::from_secs(1);

/// What was heard.
#[derive(Debug)]
pub enum News {
    /// There is a going which was not there before; these are its services. What
    /// happened to them since it began follows, unless it is our first one.
    Going(Vec<Message>),
    /// Something happened.
    Event(Message),
}

/// The connection.
#[derive(Debug)]
pub struct Wire {
    place: Place,
    client: Option<Client>,
    known: Option<(Origin, u64)>,
    look_at: Moment,
    said: String,
}

impl Wire {
    /// To the going of this place.
    pub fn new(place: Place) -> Wire {
        Wire { place, client: None, known: None, look_at: Moment(0), said: String::new() }
    }

    /// What to poll.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().map(Client::as_fd)
    }

    /// When to look for a going, if there is none.
    pub fn look_at(&self) -> Option<Moment> {
        if self.client.is_some() { None } else { Some(self.look_at) }
    }

    /// Hears what there is by now.
    pub fn hear(&mut self, now: Moment) -> Vec<News> {
        let mut news = Vec::new();
        if self.client.is_none() && now >= self.look_at {
            self.look_at = now.after(LOOK);
            match self.connect() {
                Ok(new) => news.extend(new),
                Err(trouble) => self.complain(&trouble),
            }
        }
        while let Some(client) = &mut self.client {
            match client.next(Duration::ZERO) {
                Ok(Some(message)) => {
                    let serial = message.number("serial");
                    if let (Some(serial), Some((_, known))) = (serial, &mut self.known) {
                        *known = serial;
                    }
                    news.push(News::Event(message));
                }
                Ok(None) => break,
                Err(trouble) => {
                    self.client = None;
                    self.look_at = now;
                    self.complain(&trouble);
                }
            }
        }
        news
    }

    fn complain(&mut self, trouble: &Trouble) {
        let sentence = trouble.sentence().unwrap_or("going is gone");
        if sentence != self.said {
            complain(sentence);
            self.said = sentence.to_owned();
        }
    }

    fn connect(&mut self) -> Result<Option<News>, Trouble> {
        let mut client = Client::connect(&self.place)?;
        let me = client.ask(&Request::new(Command::Myself))?;
        let origin = me.blocks.first().map(Origin::of);
        let origin =
            origin.ok_or_else(|| Trouble::Failed("going does not say who it is".into()))?;
        let status = client.ask(&Request::new(Command::Status))?;
        let (since, is_new) = match &self.known {
            // What was before us was told to others.
            None => (status.serial, true),
            Some((known, serial)) if known.is_like(&origin) && *serial <= me.serial => {
                (*serial, false)
            }
            Some(_) => (0, true),
        };
        let request = Request { since: Some(since), follow: true, ..Request::new(Command::Events) };
        client.send(&request)?;
        self.known = Some((origin, since));
        self.client = Some(client);
        if !self.said.is_empty() {
            complain("there is a going again");
            self.said.clear();
        }
        Ok(is_new.then_some(News::Going(status.blocks)))
    }
}
