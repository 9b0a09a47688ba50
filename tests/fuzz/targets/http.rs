//! What a stranger may send to going-web: whatever it is, there is an answer that
//! one can read, the same however the bytes came, and never a panic. Nothing that
//! was sent becomes a line of an answer's head.

#![no_main]

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::LazyLock;

use going::web::probe::{Server, server};
use libfuzzer_sys::fuzz_target;

static SERVER: LazyLock<Server> =
    LazyLock::new(|| server(Path::new("/nonexistent/going")).expect("a server"));

fuzz_target!(|bytes: &[u8]| {
    // The first byte says how the rest is cut.
    let (&seed, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let whole = SERVER.answers(&mut Wire { bytes, most: usize::MAX });
    let cut = SERVER.answers(&mut Wire { bytes, most: 1 + usize::from(seed) });
    assert_eq!(whole.len(), cut.len(), "it depends on how the bytes came");
    for (one, other) in whole.iter().zip(&cut) {
        assert_eq!(status(one), status(other), "it depends on how the bytes came");
    }
});

/// The status of an answer, which is as it should be.
fn status(answer: &[u8]) -> u16 {
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").expect("an end of the head");
    let (head, body) = answer.split_at(end + 4);
    let head = std::str::from_utf8(head).expect("a head of text");
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status");
    let mut length = None;
    let mut has_policy = false;
    for line in lines {
        assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
        let (name, value) = line.split_once(": ").expect("a name and a value");
        match name {
            "Content-Length" => {
                assert!(length.is_none(), "two lengths");
                length = Some(value.parse::<usize>().expect("a length"));
            }
            // All that are ever sent.
            "Content-Security-Policy" => has_policy = true,
            "Server"
            | "X-Content-Type-Options"
            | "X-Frame-Options"
            | "Referrer-Policy"
            | "Cross-Origin-Resource-Policy"
            | "Cross-Origin-Opener-Policy"
            | "Cache-Control"
            | "Content-Type"
            | "Connection"
            | "Allow"
            | "Location"
            | "Set-Cookie"
            | "WWW-Authenticate"
            | "Retry-After" => {}
            other => panic!("whence is {other:?}?"),
        }
    }
    assert!(has_policy);
    // To HEAD there is but the head.
    assert!(body.is_empty() || length == Some(body.len()), "{length:?}");
    status.get(..3).and_then(|it| it.parse().ok()).expect("a number")
}

/// A client that has sent all it has to send, and hears nothing.
struct Wire<'a> {
    bytes: &'a [u8],
    most: usize,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.len().min(buffer.len()).min(self.most);
        let (now, later) = self.bytes.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.bytes = later;
        Ok(length)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
