//! The connection to going-alert, which is another program than going and listens
//! beside it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::{Place, Trouble};
use crate::protocol::{Decoder, Message};
use crate::sys;

/// It writes what it was told to a disk before it answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where it listens.
pub fn socket(place: &Place) -> PathBuf {
    place.socket.with_file_name("alert")
}

/// Asks it, and takes the whole answer.
///
/// # Errors
/// It is not there, or says that something went wrong.
pub fn ask(place: &Place, question: &Message) -> Result<Vec<Message>, Trouble> {
    let path = socket(place);
    let failed = |error: std::io::Error| {
        let shown = path.display();
        let is_absent = [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind());
        Trouble::NoGoing(if is_absent {
            format!("no going-alert here: nobody listens on {shown}")
        } else {
            format!("{shown}: {}", sys::explain(&error))
        })
    };
    let mut stream = UnixStream::connect(&path).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut bytes = Vec::new();
    question.write(&mut bytes);
    stream.write_all(&bytes).map_err(failed)?;
    let (mut decoder, mut buffer, mut blocks) = (Decoder::new(), [0; 4096], Vec::new());
    loop {
        let odd =
            |why| Trouble::Failed(format!("going-alert said what cannot be understood: {why}"));
        while let Some(message) = decoder.message().map_err(odd)? {
            match message.get("result") {
                None => blocks.push(message),
                Some("ok") => return Ok(blocks),
                Some(_) => {
                    let why = message.get("message").unwrap_or("going-alert does not tell");
                    return Err(Trouble::Failed(why.to_owned()));
                }
            }
        }
        match stream.read(&mut buffer).map_err(failed)? {
            0 => return Err(Trouble::HungUp("going-alert hung up".to_owned())),
            length => decoder.feed(buffer.get(..length).unwrap_or_default()),
        }
    }
}
