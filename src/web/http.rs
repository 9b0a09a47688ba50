//! One HTTP/1.1 message in, one out (RFC 9112). Everything about a request is
//! bounded before it is read, and what could be understood in two ways is
//! refused: two lengths, folded lines, a length beside chunks.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

/// In bytes. Twice what browsers send with cookies.
const HEAD_MAX: usize = 16 * 1024;

/// Nobody needs more headers.
const HEADERS_MAX: usize = 64;

/// In bytes. What is sent to us is names, lines and XML of a few methods.
pub const BODY_MAX: usize = 1024 * 1024;

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// In capitals.
    pub method: String,
    /// Decoded, without the question.
    pub path: String,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    /// Names in small letters, in order.
    headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
    /// The connection may serve another one after it.
    pub is_lasting: bool,
    /// Chunks are understood.
    pub is_modern: bool,
}

/// Why there is no request.
#[derive(Debug)]
pub enum Refusal {
    /// The other side is gone, or too slow, and an answer is in vain.
    Gone,
    /// To be answered with this status, and why.
    Status(u16, &'static str),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        let is_late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        if is_late { Refusal::Status(408, "too slow") } else { Refusal::Gone }
    }
}

/// Bytes that came with a request and belong to the next one.
#[derive(Debug, Default)]
pub struct Rest(Vec<u8>);

impl Rest {
    /// Whether the next request has begun.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn read(&mut self, from: &mut impl Read) -> Result<(), Refusal> {
        let mut buffer = [0; 4096];
        let length = loop {
            match from.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if length == 0 {
            return Err(Refusal::Gone);
        }
        self.0.extend_from_slice(buffer.get(..length).unwrap_or_default());
        Ok(())
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let length = length.min(self.0.len());
        let rest = self.0.split_off(length);
        std::mem::replace(&mut self.0, rest)
    }

    fn line(&mut self, from: &mut impl Read) -> Result<Vec<u8>, Refusal> {
        const LINE_MAX: usize = 256;
        loop {
            let end = self.0.iter().position(|&byte| byte == b'\n');
            // However much of it has come by now.
            if end.unwrap_or(self.0.len()) > LINE_MAX {
                return Err(Refusal::Status(400, "the line of a chunk is too long"));
            }
            if let Some(end) = end {
                let mut line = self.take(end + 1);
                line.truncate(end);
                return match line.pop() {
                    Some(b'\r') => Ok(line),
                    _ => Err(Refusal::Status(400, "a chunk's line does not end as it should")),
                };
            }
            self.read(from)?;
        }
    }
}

impl Request {
    /// Reads a request. `hurry` is called when its body is to come, and may say
    /// that to the client.
    ///
    /// # Errors
    /// It is no request, or none that is taken.
    pub fn read<S: Read + Write>(stream: &mut S, rest: &mut Rest) -> Result<Request, Refusal> {
        let (mut request, head_length) = loop {
            if let Some(found) = Request::parse_head(&rest.0)? {
                break found;
            }
            if rest.0.len() >= HEAD_MAX {
                return Err(Refusal::Status(431, "the headers are too long"));
            }
            rest.read(stream)?;
        };
        if head_length > HEAD_MAX {
            return Err(Refusal::Status(431, "the headers are too long"));
        }
        rest.take(head_length);
        let length = request.body_length()?;
        if request.header("expect").is_some_and(|it| it.eq_ignore_ascii_case("100-continue")) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        request.body = match length {
            Some(length) => {
                while rest.0.len() < length {
                    rest.read(stream)?;
                }
                rest.take(length)
            }
            None => read_chunks(stream, rest)?,
        };
        Ok(request)
    }

    fn parse_head(bytes: &[u8]) -> Result<Option<(Request, usize)>, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Request::new(&mut headers);
        let parsed = head.parse(bytes).map_err(|why| {
            let is_many = matches!(why, httparse::Error::TooManyHeaders);
            let (status, why) =
                if is_many { (431, "too many headers") } else { (400, "that is no HTTP request") };
            Refusal::Status(status, why)
        })?;
        let httparse::Status::Complete(length) = parsed else { return Ok(None) };
        let target = head.path.unwrap_or_default();
        // A proxy may send the whole address; its host stands in the header, too.
        let target = target
            .strip_prefix("http://")
            .map_or(target, |rest| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = decode(path, false).filter(|path| path.starts_with('/'));
        let path = path.ok_or(Refusal::Status(400, "the address cannot be read"))?;
        let query = pairs(query).ok_or(Refusal::Status(400, "the question cannot be read"))?;
        let mut request = Request {
            method: head.method.unwrap_or_default().to_owned(),
            path,
            query,
            is_modern: head.version == Some(1),
            ..Request::default()
        };
        for header in head.headers.iter() {
            let value = std::str::from_utf8(header.value);
            let value = value.map_err(|_| Refusal::Status(400, "a header is not UTF-8"))?;
            request.headers.push((header.name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        for unique in ["host", "content-length", "transfer-encoding", "authorization", "origin"] {
            if request.headers.iter().filter(|(name, _)| name == unique).count() > 1 {
                return Err(Refusal::Status(400, "a header is there twice"));
            }
        }
        let has = |word| {
            let value = request.header("connection").unwrap_or_default();
            value.split(',').any(|it| it.trim().eq_ignore_ascii_case(word))
        };
        request.is_lasting = if request.is_modern { !has("close") } else { has("keep-alive") };
        Ok(Some((request, length)))
    }

    /// How long the body is; nothing if it comes in chunks.
    fn body_length(&self) -> Result<Option<usize>, Refusal> {
        let length = self.header("content-length");
        match (length, self.header("transfer-encoding")) {
            (None, None) => Ok(Some(0)),
            (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => Ok(None),
            (None, Some(_)) => Err(Refusal::Status(501, "only chunks are understood")),
            (Some(_), Some(_)) => Err(Refusal::Status(400, "a length beside chunks")),
            (Some(length), None) => {
                // Not `+5`, which parse() takes.
                let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
                let number = length.parse::<usize>().ok().filter(|_| is_number);
                match number {
                    Some(number) if number <= BODY_MAX => Ok(Some(number)),
                    Some(_) => Err(Refusal::Status(413, "the body is too long")),
                    None => Err(Refusal::Status(400, "the length is no number")),
                }
            }
        }
    }

    /// The value of a header, its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// The value of a question.
    pub fn asks(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.header("cookie")?.split(';');
        cookies.filter_map(|it| it.trim().split_once('=')).find(|it| it.0 == name).map(|it| it.1)
    }

    /// The fields of a form that was sent.
    pub fn form(&self) -> Option<Vec<(String, String)>> {
        pairs(std::str::from_utf8(&self.body).ok()?)
    }

    /// Whether the body is of this type.
    pub fn is_of_type(&self, wanted: &str) -> bool {
        let given = self.header("content-type").unwrap_or_default();
        let given = given.split(';').next().unwrap_or_default().trim();
        given.eq_ignore_ascii_case(wanted)
    }
}

fn read_chunks(stream: &mut impl Read, rest: &mut Rest) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    loop {
        let line = rest.line(stream)?;
        let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
        let digits = std::str::from_utf8(digits).unwrap_or_default().trim();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let length = usize::from_str_radix(digits, 16).ok().filter(|_| is_number);
        let length = length.ok_or(Refusal::Status(400, "the length of a chunk is no number"))?;
        if length == 0 {
            break;
        }
        if length > BODY_MAX || body.len() + length > BODY_MAX {
            return Err(Refusal::Status(413, "the body is too long"));
        }
        while rest.0.len() < length {
            rest.read(stream)?;
        }
        body.extend(rest.take(length));
        if !rest.line(stream)?.is_empty() {
            return Err(Refusal::Status(400, "a chunk does not end where it should"));
        }
    }
    // Trailers mean nothing to us.
    for _ in 0..HEADERS_MAX {
        if rest.line(stream)?.is_empty() {
            return Ok(body);
        }
    }
    Err(Refusal::Status(431, "too many trailers"))
}

/// Undoes `%20`, and `+` in forms. Nothing if that is no UTF-8 text.
fn decode(text: &str, is_form: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let value = digit(rest.next())? * 16 + digit(rest.next())?;
                u8::try_from(value).ok()?
            }
            b'+' if is_form => b' ',
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name, true)?, decode(value, true)?))
    });
    pairs.collect()
}

/// What is answered.
#[derive(Debug)]
pub struct Response {
    /// As in RFC 9110.
    pub status: u16,
    /// Beside those every answer has.
    pub headers: Vec<(&'static str, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer of a type.
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Response {
        Response { status, headers: vec![("Content-Type", kind.to_owned())], body: body.into() }
    }

    /// A sentence for people.
    pub fn text(status: u16, text: &str) -> Response {
        Response::new(status, "text/plain; charset=utf-8", format!("{text}\n"))
    }

    /// With a header more.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// Writes it whole.
    ///
    /// # Errors
    /// The other side is gone, or too slow.
    pub fn write(&self, out: &mut impl Write, has_body: bool, is_lasting: bool) -> io::Result<()> {
        let mut bytes = head(self.status, &self.headers);
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(connection(is_lasting));
        if !has_body {
            return out.write_all(&bytes);
        }
        // In one piece with the head, whose copy of a large body would take pages
        // which the kernel has to clear first.
        let both = [IoSlice::new(&bytes), IoSlice::new(&self.body)];
        let written = match out.write_vectored(&both) {
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            other => other?,
        };
        let left = written.saturating_sub(bytes.len());
        out.write_all(bytes.get(written..).unwrap_or_default())?;
        out.write_all(self.body.get(left..).unwrap_or_default())
    }
}

fn connection(is_lasting: bool) -> &'static [u8] {
    if is_lasting { b"Connection: keep-alive\r\n\r\n" } else { b"Connection: close\r\n\r\n" }
}

/// What every answer says to browsers: take it for what it is, show it in no
/// frame, tell nobody else where you were, keep nothing. Not `no-referrer`: with
/// that, our own forms would come with `Origin: null`.
const ALWAYS: &str = "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
    Referrer-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\nCache-Control: no-store\r\n";

/// Of pages which need nothing at all.
const STRICT: &str = "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; \
    base-uri 'none'; form-action 'none'\r\n";

fn head(status: u16, headers: &[(&'static str, String)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} {}\r\nServer: going-web\r\n{ALWAYS}", reason(status));
    if !headers.iter().any(|(name, _)| *name == "Content-Security-Policy") {
        text.push_str(STRICT);
    }
    for (name, value) in headers {
        // A value of ours with an end of line would end the header.
        let value: String = value.chars().filter(|it| !it.is_control()).collect();
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        303 => "See Other",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

/// An answer without an end: what is written goes out at once.
#[derive(Debug)]
pub struct Endless<'a, W: Write> {
    out: &'a mut W,
    has_chunks: bool,
}

impl<'a, W: Write> Endless<'a, W> {
    /// Begins it.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn begin(out: &'a mut W, kind: &str, has_chunks: bool) -> io::Result<Endless<'a, W>> {
        let mut bytes = head(200, &[("Content-Type", kind.to_owned())]);
        if has_chunks {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        // A front is not to collect it first.
        bytes.extend_from_slice(b"X-Accel-Buffering: no\r\n");
        bytes.extend_from_slice(connection(false));
        out.write_all(&bytes)?;
        Ok(Endless { out, has_chunks })
    }

    /// Sends something.
    ///
    /// # Errors
    /// The other side is gone, or too slow.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.has_chunks {
            return self.out.write_all(bytes);
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.out.write_all(&chunk)
    }

    /// What it goes out through.
    pub fn stream(&mut self) -> &mut W {
        self.out
    }

    /// Ends it after all.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn end(self) -> io::Result<()> {
        if self.has_chunks { self.out.write_all(b"0\r\n\r\n") } else { Ok(()) }
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
