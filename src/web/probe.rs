//! What strangers may send, from the first byte to the answer, without a socket
//! and without a going: for tests/fuzz, which tries what nobody would.

use std::io::{Read, Write};
use std::path::Path;

use super::auth::{self, Peer};
use super::guests::Guests;
use super::http::{Refusal, Request, Response, Rest};
use super::route::{self, Answer};
use super::users::Users;
use super::{Web, http, live, server};
use crate::client::{Place, Trouble};

/// A server whose going is not there.
///
/// # Errors
/// There are none with a directory that has a name.
pub fn server(run_directory: &Path) -> Result<Server, Trouble> {
    Ok(Server(Web {
        place: Place::find(Some(run_directory))?,
        users: Users::none(),
        hosts: vec!["going.example.org".to_owned()],
        is_read_only: false,
        token: "0123456789abcdef".to_owned(),
        meter: super::meter::Meter::default(),
        guests: Guests::new(server::CONNECTIONS_MAX),
        followers: Guests::new(live::FOLLOWERS_MAX),
    }))
}

/// All that a connection needs.
#[derive(Debug)]
pub struct Server(Web);

impl Server {
    /// The bytes of the answers to all requests in the stream, as somebody with
    /// all rights gets them; without those that have no end.
    pub fn answers<S: Read + Write>(&self, stream: &mut S) -> Vec<Vec<u8>> {
        let mut rest = Rest::default();
        let mut answers = Vec::new();
        loop {
            let request = match Request::read(stream, &mut rest) {
                Ok(request) => request,
                Err(Refusal::Gone) => return answers,
                Err(Refusal::Status(status, why)) => {
                    answers.push(written(&Response::text(status, why), true));
                    return answers;
                }
            };
            // A hash takes as long as a thousand requests.
            let answer = if request.header("authorization").is_some_and(auth::is_readable) {
                Answer::Whole(Response::text(401, "who are you?"))
            } else {
                route::answer(&self.0, &request, Peer::File)
            };
            if let Answer::Whole(response) = answer {
                answers.push(written(&response, request.method != "HEAD"));
            }
            if !request.is_lasting {
                return answers;
            }
        }
    }
}

fn written(response: &http::Response, has_body: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector takes all.
    let _ = response.write(&mut bytes, has_body, true);
    bytes
}
