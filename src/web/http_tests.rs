//! Requests as they come, whole and in pieces, and as they must not come.

use super::*;

/// Gives what it has a few bytes at a time, and remembers what it was told.
struct Wire {
    bytes: Vec<u8>,
    piece: usize,
    told: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.piece.min(self.bytes.len()).min(buffer.len());
        buffer[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes.drain(..length);
        Ok(length)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.told.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wire(text: &str, piece: usize) -> Wire {
    Wire { bytes: text.as_bytes().to_vec(), piece, told: Vec::new() }
}

fn read(text: &str) -> Result<Request, u16> {
    Request::read(&mut wire(text, 4096), &mut Rest::default()).map_err(|refusal| match refusal {
        Refusal::Gone => 0,
        Refusal::Status(status, _) => status,
    })
}

#[test]
fn a_request_is_read_however_it_is_cut() {
    let text = "POST /a%20b?x=1%262&y HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
        GET / HTTP/1.0\r\n\r\n";
    for piece in 1..40 {
        let (mut wire, mut rest) = (wire(text, piece), Rest::default());
        let first = Request::read(&mut wire, &mut rest).unwrap();
        assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/a b"));
        assert_eq!(first.query, [("x".into(), "1&2".into()), ("y".into(), String::new())]);
        assert_eq!(first.body, b"abc");
        assert!(first.is_lasting);
        let second = Request::read(&mut wire, &mut rest).unwrap();
        assert_eq!((second.method.as_str(), second.path.as_str()), ("GET", "/"));
        assert!(!second.is_lasting && second.body.is_empty());
    }
}

#[test]
fn chunks_are_put_together() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = |body: &str| read(&format!("{head}{body}")).map(|it| it.body);
    assert_eq!(body("3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n").unwrap(), b"abc0123456789");
    assert_eq!(body("0\r\nTrailer: x\r\n\r\n").unwrap(), b"");
    assert_eq!(body("3\r\nabcd\r\n0\r\n\r\n"), Err(400));
    assert_eq!(body("x\r\n"), Err(400));
    assert_eq!(body("-1\r\n"), Err(400));
    assert_eq!(body("3\nabc\r\n0\r\n\r\n"), Err(400));
    assert_eq!(body("FFFFFFFFFFFFFFFF\r\n"), Err(413));
    assert_eq!(body("100001\r\n"), Err(413));
    assert_eq!(body("3\r\nab"), Err(0));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let refused = |headers: &str| read(&format!("POST / HTTP/1.1\r\nHost: h\r\n{headers}\r\nabc"));
    assert_eq!(refused("Content-Length: 3\r\nContent-Length: 3\r\n"), Err(400));
    assert_eq!(refused("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), Err(400));
    assert_eq!(refused("Content-Length: +3\r\n"), Err(400));
    assert_eq!(refused("Content-Length: 1048577\r\n"), Err(413));
    assert_eq!(refused("Transfer-Encoding: gzip, chunked\r\n"), Err(501));
    assert_eq!(refused("Host: other\r\n"), Err(400));
    assert_eq!(refused(" folded\r\n"), Err(400));
}

#[test]
fn what_is_too_long_is_refused() {
    assert_eq!(read(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(HEAD_MAX))), Err(431));
    let many = "A: b\r\n".repeat(HEADERS_MAX + 1);
    assert_eq!(read(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Err(431));
    // The same, however much of it comes at once.
    let chunk = format!("0;{}\r\n\r\n", "x".repeat(300));
    let chunked = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
    assert_eq!(read(&chunked), Err(400));
    let head = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(HEAD_MAX - 10));
    for piece in [1, 4096, 65536] {
        let refused = Request::read(&mut wire(&head, piece), &mut Rest::default());
        assert!(matches!(refused, Err(Refusal::Status(431, _))), "{piece}");
    }
    assert_eq!(read("GET /%zz HTTP/1.1\r\n\r\n"), Err(400));
    assert_eq!(read("GET /%00 HTTP/1.1\r\n\r\n"), Err(400));
    assert_eq!(read("GET"), Err(0));
}

#[test]
fn whoever_waits_with_the_body_is_told_to_send_it() {
    let text = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx";
    let mut wire = wire(text, 4096);
    assert_eq!(Request::read(&mut wire, &mut Rest::default()).unwrap().body, b"x");
    assert_eq!(wire.told, b"HTTP/1.1 100 Continue\r\n\r\n");
}

#[test]
fn no_value_ends_a_header() {
    let mut out = Vec::new();
    Response::text(200, "x")
        .with("Location", "/a\r\nEvil: yes")
        .write(&mut out, true, true)
        .unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("Location: /aEvil: yes\r\n") && text.ends_with("\r\n\r\nx\n"), "{text}");
}

#[test]
fn cookies_and_forms_are_taken_apart() {
    let text = "POST / HTTP/1.1\r\nCookie: a=1; going=2\r\nContent-Length: 9\r\n\r\na=1+2&b=%";
    let request = read(text).unwrap();
    assert_eq!((request.cookie("going"), request.cookie("x")), (Some("2"), None));
    assert_eq!(request.form(), None);
    let request = read(&text.replace("b=%", "b=x")).unwrap();
    assert_eq!(request.form().unwrap()[0], ("a".to_owned(), "1 2".to_owned()));
}
