//! Mail to a server (RFC 5321), by STARTTLS (RFC 3207) and AUTH (RFC 4954). It asks
//! for nothing else, waits for no longer than it was given, and says no password
//! where others can hear it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::super::settings::{Server, Settings, Tls};
use super::super::start::complain;
use super::{Failure, secret, tls};
use crate::config::grammar::visible;
use crate::supervise::Moment;
use crate::sys;

/// In bytes. No server has more to say at once.
const REPLY_MAX: usize = 16 * 1024;

/// Sends one message, whose lines end as they do on the wire.
pub fn send(
    settings: &Settings,
    server: &Server,
    host: &str,
    from: &str,
    text: &str,
) -> Result<(), Failure> {
    // Whatever is wrong before there is a text is not the text's fault.
    let mut talk = ready(settings, server, host, from).map_err(|failure| match failure {
        Failure::Refused(why) | Failure::Passing(why) => Failure::Passing(why),
    })?;
    talk.say(&dotted(text))?;
    talk.hear(&[250])?;
    // It has it. How it takes our leave changes nothing.
    let _ = talk.say("QUIT\r\n");
    Ok(())
}

/// All that comes before the text.
fn ready(settings: &Settings, server: &Server, host: &str, from: &str) -> Result<Talk, Failure> {
    let mut talk = Talk::begin(settings, server)?;
    talk.hear(&[220])?;
    let mut offers = talk.greet(host)?;
    if settings.tls == Tls::Later {
        if !has(&offers, "STARTTLS") {
            let why = "it offers no STARTTLS; tls=no does without, for everybody to read";
            return Err(talk.fail(why));
        }
        talk.ask("STARTTLS", &[220])?;
        talk.secure(settings)?;
        // Whatever was offered before may have been anybody's word.
        offers = talk.greet(host)?;
    }
    talk.prove(settings, &offers)?;
    talk.ask(&format!("MAIL FROM:<{from}>"), &[250])?;
    let mut refused = Vec::new();
    for to in &settings.mail {
        // One address that is wrong does not cost the others theirs.
        match talk.ask(&format!("RCPT TO:<{to}>"), &[250, 251]) {
            Err(Failure::Refused(why)) => refused.push(why),
            other => _ = other?,
        }
    }
    if refused.len() == settings.mail.len() {
        return Err(Failure::Passing(refused.join("; ")));
    }
    refused.iter().for_each(|why| complain(why));
    talk.ask("DATA", &[354])?;
    Ok(talk)
}

/// A line that is a dot ends the text, so a dot before each that begins with one.
fn dotted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive("\r\n") {
        if line.starts_with('.') {
            out.push('.');
        }
        out.push_str(line);
    }
    if !out.ends_with("\r\n") {
        out.push_str("\r\n");
    }
    out.push_str(".\r\n");
    out
}

fn has(offers: &[String], word: &str) -> bool {
    let mut words = offers.iter().filter_map(|line| line.split(' ').next());
    words.any(|it| it.eq_ignore_ascii_case(word))
}

/// Whether a way to say who we are is among those it takes.
fn takes(offers: &[String], way: &str) -> bool {
    let auth = offers.iter().filter_map(|line| {
        line.get(..5).filter(|it| it.eq_ignore_ascii_case("AUTH ")).and(line.get(5..))
    });
    auth.flat_map(|ways| ways.split(' ')).any(|it| it.eq_ignore_ascii_case(way))
}

enum Wire {
    Plain(TcpStream),
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// It was lost while it was being secured.
    Gone,
}

impl Wire {
    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Wire::Plain(socket) => Some(socket),
            Wire::Secure(stream) => Some(&stream.sock),
            Wire::Gone => None,
        }
    }
}

/// What we say to a server, and it to us.
struct Talk {
    wire: Wire,
    /// What it said beyond the last reply.
    rest: Vec<u8>,
    /// For messages.
    name: String,
    host: String,
    until: Moment,
}

impl Talk {
    fn begin(settings: &Settings, server: &Server) -> Result<Talk, Failure> {
        let usual = match settings.tls {
            Tls::Later => 587,
            Tls::Always => 465,
            Tls::Never => 25,
        };
        let port = if server.port == 0 { usual } else { server.port };
        let mut talk = Talk {
            wire: Wire::Gone,
            rest: Vec::new(),
            name: format!("{}:{port}", server.host),
            host: server.host.clone(),
            until: sys::monotonic().after(settings.timeout),
        };
        let places = (server.host.as_str(), port).to_socket_addrs();
        let places = places.map_err(|error| talk.lost(&error))?;
        let mut why = io::Error::from(ErrorKind::AddrNotAvailable);
        for place in places {
            match TcpStream::connect_timeout(&place, talk.patience()) {
                Ok(socket) => {
                    talk.wire = Wire::Plain(socket);
                    if settings.tls == Tls::Always {
                        talk.secure(settings)?;
                    }
                    return Ok(talk);
                }
                Err(error) => why = error,
            }
        }
        Err(talk.lost(&why))
    }

    /// How long we still wait; never nothing, which would be for ever.
    fn patience(&self) -> Duration {
        self.until.since(sys::monotonic()).max(Duration::from_millis(1))
    }

    fn fail(&self, why: &str) -> Failure {
        Failure::Passing(format!("{}: {why}", self.name))
    }

    fn lost(&self, error: &io::Error) -> Failure {
        let kind = error.kind();
        if kind == ErrorKind::WouldBlock || kind == ErrorKind::TimedOut {
            return self.fail("it does not answer in time");
        }
        if kind == ErrorKind::UnexpectedEof {
            return self.fail("it hung up");
        }
        self.fail(&sys::explain(error))
    }

    /// Goes on where nobody else can read.
    fn secure(&mut self, settings: &Settings) -> Result<(), Failure> {
        // Whoever is between us could have said this before there was any secret.
        if !self.rest.is_empty() {
            return Err(self.fail("it said something before it was its turn"));
        }
        let config: Arc<ClientConfig> =
            tls::config(settings.tls_ca.as_deref()).map_err(|why| self.fail(&why))?;
        let name = ServerName::try_from(self.host.clone());
        let name = name.map_err(|_| self.fail("no certificate can be for this name"))?;
        let connection = ClientConnection::new(config, name);
        let mut connection = connection.map_err(|error| self.fail(&error.to_string()))?;
        let Wire::Plain(mut socket) = std::mem::replace(&mut self.wire, Wire::Gone) else {
            return Err(self.fail("it is secret already"));
        };
        while connection.is_handshaking() {
            if sys::monotonic() >= self.until {
                return Err(self.lost(&ErrorKind::TimedOut.into()));
            }
            let patience = self.patience();
            let step = socket
                .set_read_timeout(Some(patience))
                .and_then(|()| socket.set_write_timeout(Some(patience)))
                .and_then(|()| connection.complete_io(&mut socket));
            step.map_err(|error| self.lost(&error))?;
        }
        self.wire = Wire::Secure(Box::new(StreamOwned::new(connection, socket)));
        Ok(())
    }

    /// Says who we are as a machine; what it offers.
    fn greet(&mut self, host: &str) -> Result<Vec<String>, Failure> {
        let lines = self.ask(&format!("EHLO {host}"), &[250])?;
        Ok(lines.into_iter().skip(1).collect())
    }

    /// Says who we are as a user, if we are one.
    fn prove(&mut self, settings: &Settings, offers: &[String]) -> Result<(), Failure> {
        let (Some(user), Some(source)) = (&settings.user, &settings.secret) else {
            return Ok(());
        };
        if matches!(self.wire, Wire::Plain(_)) {
            return Err(self.fail("a password is not said where everybody can hear it"));
        }
        let password = secret::read(source).map_err(|it| Failure::Passing(it.sentence()))?;
        if takes(offers, "PLAIN") {
            let proof = STANDARD.encode(format!("\0{user}\0{password}"));
            return self.ask(&format!("AUTH PLAIN {proof}"), &[235]).map(|_| ());
        }
        if !takes(offers, "LOGIN") {
            return Err(self.fail("it takes neither AUTH PLAIN nor AUTH LOGIN"));
        }
        self.ask("AUTH LOGIN", &[334])?;
        self.ask(&STANDARD.encode(user), &[334])?;
        self.ask(&STANDARD.encode(password), &[235]).map(|_| ())
    }

    fn ask(&mut self, line: &str, expected: &[u16]) -> Result<Vec<String>, Failure> {
        self.say(&format!("{line}\r\n"))?;
        self.hear(expected)
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        let patience = Some(self.patience());
        if let Some(socket) = self.wire.socket() {
            socket.set_write_timeout(patience).map_err(|error| self.lost(&error))?;
        }
        let said = match &mut self.wire {
            Wire::Plain(socket) => socket.write_all(text.as_bytes()),
            Wire::Secure(stream) => stream.write_all(text.as_bytes()).and_then(|()| stream.flush()),
            Wire::Gone => Err(ErrorKind::NotConnected.into()),
        };
        said.map_err(|error| self.lost(&error))
    }

    /// The lines of its reply, without the code.
    fn hear(&mut self, expected: &[u16]) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            let code = line.get(..3).and_then(|it| it.parse::<u16>().ok());
            let Some(code) = code.filter(|it| (200..600).contains(it)) else {
                return Err(self.fail(&format!("it says {}", visible(&line))));
            };
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) == Some(&b'-') && lines.len() < 100 {
                continue;
            }
            if expected.contains(&code) {
                return Ok(lines);
            }
            let text = format!("{}: it says {}", self.name, visible(&line));
            return Err(if is_refusal(code) {
                Failure::Refused(text)
            } else {
                Failure::Passing(text)
            });
        }
    }

    fn line(&mut self) -> Result<String, Failure> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.rest.len() > REPLY_MAX {
                return Err(self.fail("it says too much"));
            }
            if sys::monotonic() >= self.until {
                return Err(self.lost(&ErrorKind::TimedOut.into()));
            }
            self.read().map_err(|error| self.lost(&error))?;
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let patience = Some(self.patience());
        self.wire.socket().map_or(Ok(()), |socket| socket.set_read_timeout(patience))?;
        let mut buffer = [0; 4096];
        let count = match &mut self.wire {
            Wire::Plain(socket) => socket.read(&mut buffer)?,
            Wire::Secure(stream) => stream.read(&mut buffer)?,
            Wire::Gone => 0,
        };
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.rest.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(())
    }
}

/// Whether it says never. Other codes are about who we are, or about what somebody can
/// put right.
fn is_refusal(code: u16) -> bool {
    (550..=555).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_the_text_ends_it() {
        assert_eq!(dotted("a\r\n.\r\n..b\r\n"), "a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(dotted("a"), "a\r\n.\r\n");
    }

    #[test]
    fn what_a_server_offers_is_read_whatever_its_case() {
        let offers = ["SIZE 9", "starttls", "Auth login PLAIN", "\u{e9}\u{e9}\u{e9}"];
        let offers = offers.map(str::to_owned);
        assert!(has(&offers, "STARTTLS") && !has(&offers, "AUTHX"));
        assert!(takes(&offers, "PLAIN") && takes(&offers, "LOGIN") && !takes(&offers, "XOAUTH2"));
    }
}
