//! A server that does what it is told to: answer, refuse, cut the line, or say
//! nothing at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// How one connection is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should be.
    Good,
    /// With this status, of HTTP, or of SMTP for the text.
    Status(u16),
    /// It is closed when the message was heard.
    Cut,
    /// Nothing is said.
    Hang,
}

/// The server, and what it heard.
pub struct Server {
    pub port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    met: Arc<Mutex<usize>>,
}

impl Server {
    /// Of HTTP; the last manner holds for all further connections.
    pub fn http(manners: &[Manner]) -> Server {
        Server::start(manners, http)
    }

    /// Of SMTP, without TLS.
    pub fn smtp(manners: &[Manner]) -> Server {
        Server::start(manners, smtp)
    }

    fn start(manners: &[Manner], serve: fn(TcpStream, Manner) -> Option<String>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, met) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (manners, into, count) = (manners.to_vec(), Arc::clone(&heard), Arc::clone(&met));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let manner = manners[number.min(manners.len() - 1)];
                *count.lock().unwrap() += 1;
                let into = Arc::clone(&into);
                thread::spawn(move || {
                    let message = serve(stream, manner);
                    into.lock().unwrap().extend(message);
                });
            }
        });
        Server { port, heard, met }
    }

    /// The messages which it took.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// How often somebody came.
    pub fn met(&self) -> usize {
        *self.met.lock().unwrap()
    }
}

/// Holds the line until the other side has enough of it.
fn hang(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Takes one request; head and body.
fn http(stream: TcpStream, manner: Manner) -> Option<String> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let text = head + &String::from_utf8_lossy(&body);
    let status = match manner {
        Manner::Good => 200,
        Manner::Status(status) => status,
        Manner::Cut => return None,
        Manner::Hang => {
            hang(stream);
            return None;
        }
    };
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    (&stream).write_all(answer.as_bytes()).ok()?;
    (manner == Manner::Good).then_some(text)
}

/// Takes one mail; its recipients and text.
fn smtp(stream: TcpStream, manner: Manner) -> Option<String> {
    if manner == Manner::Hang {
        hang(stream);
        return None;
    }
    let mut out = stream.try_clone().ok()?;
    let mut say = |text: &str| out.write_all(format!("{text}\r\n").as_bytes()).ok();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    say("220-hello")?;
    say("220 there")?;
    let mut text = String::new();
    while let Some(line) = lines.next() {
        match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => {
                say("250-here")?;
                say("250 SIZE 1000000")?;
            }
            "RCPT" if line.contains("nobody@") => say("550 no such user")?,
            "MAIL" => say("250 ok")?,
            "RCPT" => {
                text += &format!("{line}\n");
                say("250 ok")?;
            }
            "DATA" => {
                say("354 go on")?;
                for line in lines.by_ref().take_while(|line| line != ".") {
                    text += &format!("{line}\n");
                }
                match manner {
                    Manner::Good => say("250 taken")?,
                    Manner::Status(status) => say(&format!("{status} not taken"))?,
                    Manner::Cut | Manner::Hang => return None,
                }
                return (manner == Manner::Good).then_some(text);
            }
            _ => say("502 what?")?,
        }
    }
    None
}
