//! Clients of the control socket: one that speaks it byte by byte, and one that
//! is another user.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use going::protocol::{Decoder, Message};

use crate::common::{Place, wait_until};

/// So long a client waits for an answer: no machine is that slow.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection.
pub struct Client {
    pub stream: UnixStream,
    decoder: Decoder,
}

/// The blocks of a reply, and its last one.
#[derive(Debug)]
pub struct Reply {
    pub blocks: Vec<Message>,
    pub end: Message,
}

/// The lines as a request.
pub fn request(lines: &[&str]) -> String {
    format!("going=1\n{}\n\n", lines.join("\n"))
}

impl Client {
    /// Waits for the socket to be there; going may just be starting.
    #[track_caller]
    pub fn connect(place: &Place) -> Client {
        let (path, mut stream) = (place.path("run/control"), None);
        wait_until("the control socket", || {
            stream = UnixStream::connect(&path).ok();
            stream.is_some()
        });
        let stream = stream.unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        Client { stream, decoder: Decoder::new() }
    }

    #[track_caller]
    pub fn say(&mut self, lines: &[&str]) {
        self.stream.write_all(request(lines).as_bytes()).unwrap();
    }

    /// The next block; none when going has hung up.
    #[track_caller]
    pub fn block(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.decoder.message().unwrap() {
                return Some(message);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                // It was closed before all we had sent was read (unix(7)).
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Ok(count) => self.decoder.feed(&bytes[..count]),
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        let mut blocks = Vec::new();
        loop {
            let block = self.block().expect("an answer");
            if block.pairs().next().is_some_and(|(key, _)| key == "result") {
                return Reply { blocks, end: block };
            }
            blocks.push(block);
        }
    }

    #[track_caller]
    pub fn ask(&mut self, lines: &[&str]) -> Reply {
        self.say(lines);
        self.reply()
    }

    /// Asks, and all must go well.
    #[track_caller]
    pub fn order(&mut self, lines: &[&str]) -> Vec<Message> {
        let reply = self.ask(lines);
        assert_eq!(reply.result(), "ok", "{reply:?}");
        reply.blocks
    }

    /// Waits until the service is in this state; its block.
    #[track_caller]
    pub fn wait_state(&mut self, name: &str, state: &str) -> Message {
        let mut last = Message::new();
        wait_until(&format!("{name} to be {state}"), || {
            let reply = self.ask(&["command=status", &format!("name={name}")]);
            last = reply.blocks.into_iter().next().unwrap_or_default();
            last.get("state") == Some(state)
        });
        last
    }

    /// Reads events until one is about this service in this state.
    #[track_caller]
    pub fn wait_event(&mut self, name: &str, state: &str) -> Message {
        loop {
            let block = self.block().expect("more events");
            if block.get("service") == Some(name) && block.get("state") == Some(state) {
                return block;
            }
        }
    }

    /// Nothing more to ask.
    pub fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

impl Reply {
    /// `ok`, or the code of the error.
    pub fn result(&self) -> &str {
        self.end.get("code").or(self.end.get("result")).unwrap_or_default()
    }

    /// The values of `key`, one of each block that has it.
    pub fn all(&self, key: &str) -> Vec<&str> {
        self.blocks.iter().filter_map(|block| block.get(key)).collect()
    }
}

/// Asks on a connection of its own.
#[track_caller]
pub fn ask(place: &Place, lines: &[&str]) -> Reply {
    Client::connect(place).ask(lines)
}

/// Asks as user nobody, who is in group nogroup and in no other.
#[track_caller]
pub fn ask_as_nobody(place: &Place, lines: &[&str]) -> Reply {
    let socket = format!("UNIX-CONNECT:{}", place.path("run/control"));
    let mut socat = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["socat", "-t", "60", "-", &socket])
        .env("GOING_TEST", &place.marker)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    socat.stdin.take().unwrap().write_all(request(lines).as_bytes()).unwrap();
    let output = socat.wait_with_output().unwrap();
    let mut decoder = Decoder::new();
    decoder.feed(&output.stdout);
    let mut blocks: Vec<_> = std::iter::from_fn(|| decoder.message().unwrap()).collect();
    let end = blocks.pop().expect("an answer");
    assert!(end.get("result").is_some() && !decoder.is_amid(), "{blocks:?} {end:?}");
    Reply { blocks, end }
}
