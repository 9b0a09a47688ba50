//! The bench of these tests: a going, a going-web in front of it, and an HTTP
//! client that does just what it is told.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::common::{Place, wait_until};

/// Nobody waits longer for an answer.
const LIMIT: Duration = Duration::from_secs(60);

/// A going-web, which ends with the test.
pub struct Site {
    pub port: u16,
    pub socket: String,
    child: Child,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn parse(bytes: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A file of users with `ann`, who may do all, and `eve`, who may look; both
/// have the password `secret`.
pub fn users(place: &Place) -> String {
    let mut lines = String::new();
    for words in [&["--password", "ann"][..], &["--password", "eve", "--role", "read"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_going-web"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
        lines += &String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    }
    place.write("users", lines);
    let path = place.path("users");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

impl Site {
    /// In front of this going.
    pub fn open(place: &Place, more: &[&str]) -> Site {
        let port = free_port();
        let socket = place.path("web.sock");
        let child = Command::new(env!("CARGO_BIN_EXE_going-web"))
            .args(["-r", &place.path("run"), "--listen", &format!("127.0.0.1:{port}")])
            .args(["--listen", &format!("unix:{socket}")])
            .args(more)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let site = Site { port, socket, child };
        wait_until("going-web listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
                && UnixStream::connect(&site.socket).is_ok()
        });
        let mode = std::fs::metadata(&site.socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        site
    }

    /// Sends this as it is, over the network.
    pub fn raw(&self, request: &str) -> Answer {
        ask(self.port, request)
    }

    /// The same through the socket whose owner may do everything.
    pub fn owner(&self, request: &str) -> Answer {
        exchange(&mut UnixStream::connect(&self.socket).unwrap(), request)
    }

    /// Asks over the network.
    pub fn get(&self, path: &str) -> Answer {
        self.raw(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    /// Orders as the owner.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.owner(&post(path, "", body))
    }

    /// Listens to an answer without an end.
    pub fn follow(&self, path: &str) -> Heard {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Heard(RefCell::new((stream, Vec::new())))
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }
}

/// What was heard so far.
pub struct Heard(RefCell<(TcpStream, Vec<u8>)>);

impl Heard {
    /// Says something more.
    pub fn say(&self, text: &str) {
        self.0.borrow_mut().0.write_all(text.as_bytes()).unwrap();
    }

    /// Whether this has come by now.
    pub fn seen(&self, text: &str) -> bool {
        let (stream, bytes) = &mut *self.0.borrow_mut();
        let _ = stream.read_to_end(bytes);
        String::from_utf8_lossy(bytes).contains(text)
    }
}

/// An order in JSON, with more headers.
pub fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Sends this as it is to whoever listens there.
pub fn ask(port: u16, request: &str) -> Answer {
    exchange(&mut TcpStream::connect(("127.0.0.1", port)).unwrap(), request)
}

fn exchange(stream: &mut (impl Read + Write + Limited), request: &str) -> Answer {
    stream.limit();
    // It may be refused before it is read.
    let _ = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    Answer::parse(&bytes)
}

/// What does not wait for ever.
pub trait Limited {
    fn limit(&self);
}

impl Limited for TcpStream {
    fn limit(&self) {
        self.set_read_timeout(Some(LIMIT)).unwrap();
    }
}

impl Limited for UnixStream {
    fn limit(&self) {
        self.set_read_timeout(Some(LIMIT)).unwrap();
    }
}
