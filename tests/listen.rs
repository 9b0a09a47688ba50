//! Sockets that going holds for services: what they are given, that nobody is refused
//! while they are restarted, upgraded or adopted, and that the first who connects can
//! start them. With real programs, too.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs, threads and clocks"
)]

mod common;

#[path = "control/client.rs"]
#[expect(dead_code, reason = "it can more than is needed here")]
mod client;
#[path = "listen/demand.rs"]
mod demand;
#[path = "listen/files.rs"]
mod files;
#[path = "listen/passing.rs"]
mod passing;
#[path = "listen/programs.rs"]
mod programs;
#[path = "listen/restarts.rs"]
mod restarts;
#[path = "listen/survive.rs"]
mod survive;
#[path = "listen/trouble.rs"]
mod trouble;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use common::{Place, has, run};

/// So long somebody waits for an answer: no machine is that slow.
const LIMIT: Duration = Duration::from_secs(60);

/// Builds the server of the tests; its path.
pub fn server(place: &Place) -> Option<String> {
    if !has("gcc") {
        return None;
    }
    let (path, source) = (place.path("server"), "/tests/listen/server.c");
    let source = format!("{}{source}", env!("CARGO_MANIFEST_DIR"));
    let output = run(&["gcc", "-O1", "-Wall", "-o", &path, &source]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(path)
}

/// A port which is free for streams and datagrams.
pub fn free_port() -> u16 {
    let found = (0..100).find_map(|_| {
        let listener = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
        let port = listener.ok()?.local_addr().ok()?.port();
        UdpSocket::bind(("127.0.0.1", port)).ok().map(|_| port)
    });
    found.expect("a free port")
}

/// Says something, and reads what is answered until the end.
pub fn talk(mut stream: impl Read + Write) -> std::io::Result<String> {
    stream.write_all(b"who?\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.trim_end().to_owned())
}

/// What the server on this port answers.
pub fn ask_port(port: u16) -> String {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("refused");
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    talk(stream).expect("no answer")
}
