//! When a service counts as up: by what it does, by what it says, or by whether
//! somebody can talk to it.

// No network is in here, only the form of addresses.
use core::net::{Ipv4Addr, SocketAddr};

use super::listen::{Address, LISTENS_MAX, ListenAs, read_internet};
use super::nearest::nearest;
use super::spec::Spec;
use super::template::join;
use super::values::{hint, set_command, wrong};
use super::words::read_count;

/// How it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// As soon as its program runs.
    Exec,
    /// When it has run for `min-uptime`.
    Uptime,
    /// When it says so, as sd_notify(3) does.
    Notify,
    /// When it has written a line to this descriptor.
    Descriptor(u8),
    /// When somebody takes connections there.
    Port(SocketAddr),
    /// When a command says so, by ending with 0.
    Command,
}

/// The words without anything behind them.
const WORDS: [(&str, Ready); 3] =
    [("exec", Ready::Exec), ("uptime", Ready::Uptime), ("notify", Ready::Notify)];

/// Below are the standard streams.
const DESCRIPTOR_MIN: u8 = 3;

impl Ready {
    /// Whether it is by waiting for it that it comes, and not by what is said or seen.
    pub fn is_by_itself(self) -> bool {
        matches!(self, Ready::Exec | Ready::Uptime)
    }
}

/// Reads all there is to say of it.
pub fn set_ready(spec: &mut Spec, value: &str) -> Result<(), String> {
    let words = value.strip_prefix("cmd:");
    spec.ready.clear();
    let ready = match words {
        Some(words) => set_command(&mut spec.ready, words.trim()).map(|()| Ready::Command),
        None => read_ready(value),
    };
    ready.map(|ready| spec.policy.care.make().ready = ready)
}

/// Writes what is read.
pub fn get_ready(spec: &Spec) -> String {
    let ready = spec.policy.care.ready;
    if ready == Ready::Command { format!("cmd:{}", join(&spec.ready)) } else { show_ready(ready) }
}

/// Reads `exec`, `uptime`, `notify`, `fd:N`, `tcp:PORT` and `tcp:HOST:PORT`.
fn read_ready(value: &str) -> Result<Ready, String> {
    const MUST: &str = "exec, uptime, notify, fd:NUMBER, tcp:[HOST:]PORT or cmd:WORDS";
    const HOST: &str = "tcp:PORT or tcp:HOST:PORT, with an address or localhost for HOST: names \
                        are not looked up";
    if let Some((_, ready)) = WORDS.iter().find(|(word, _)| *word == value) {
        return Ok(*ready);
    }
    if let Some(number) = value.strip_prefix("fd:") {
        let number = read_count(number).and_then(|it| u8::try_from(it).ok());
        let number = number.filter(|it| *it >= DESCRIPTOR_MIN);
        return number.map(Ready::Descriptor).ok_or_else(|| wrong(value, "fd: and 3 to 255"));
    }
    if let Some(rest) = value.strip_prefix("tcp:") {
        return match read_internet("tcp", rest) {
            Ok(Address::Ip(address)) => Ok(Ready::Port(address)),
            Ok(Address::Any(port)) if !rest.starts_with('*') => {
                Ok(Ready::Port((Ipv4Addr::LOCALHOST, port).into()))
            }
            Ok(_) => Err(wrong(value, HOST)),
            Err((_, meant)) => Err(hint(wrong(value, HOST), meant.as_deref())),
        };
    }
    let words = WORDS.iter().map(|(word, _)| *word);
    let meant = match value.parse::<u16>() {
        Ok(port) if port > 0 => Some(format!("tcp:{port}")),
        _ => nearest(value, words).map(str::to_owned),
    };
    Err(hint(wrong(value, MUST), meant.as_deref()))
}

fn show_ready(ready: Ready) -> String {
    match ready {
        Ready::Descriptor(number) => format!("fd:{number}"),
        Ready::Port(address) => format!("tcp:{address}"),
        Ready::Exec | Ready::Uptime | Ready::Notify | Ready::Command => {
            WORDS.iter().find(|(_, it)| *it == ready).map_or("", |(word, _)| *word).to_owned()
        }
    }
}

/// What is wrong with it together with the sockets of the service.
pub fn check_ready(spec: &Spec) -> Option<&'static str> {
    let given = if spec.listen_as == ListenAs::Fds { spec.listen.len() } else { 0 };
    let given = u8::try_from(given.min(LISTENS_MAX)).unwrap_or(u8::MAX);
    match spec.policy.care.ready {
        Ready::Descriptor(number) if number < given.saturating_add(DESCRIPTOR_MIN) => {
            Some("ready= is a descriptor that is one of its sockets, for listen= gives it 3 and up")
        }
        Ready::Port(address) if spec.listen.iter().any(|it| it.is_at(address)) => {
            Some("ready= is a port of listen=, where going takes connections before it does")
        }
        Ready::Descriptor(_) | Ready::Port(_) | Ready::Exec => None,
        Ready::Uptime | Ready::Notify | Ready::Command => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        for value in
            ["exec", "uptime", "notify", "fd:3", "fd:255", "tcp:127.0.0.1:80", "tcp:[::1]:65535"]
        {
            assert_eq!(show_ready(read_ready(value).unwrap()), value);
        }
        for (value, meant) in
            [("tcp:80", "tcp:127.0.0.1:80"), ("tcp:localhost:1", "tcp:127.0.0.1:1")]
        {
            assert_eq!(show_ready(read_ready(value).unwrap()), meant);
        }
    }

    #[test]
    fn what_is_wrong_says_what_would_be_right() {
        for (value, message) in [
            ("notfy", "; did you mean \"notify\"?"),
            ("cmd", "or cmd:WORDS"),
            ("8080", "; did you mean \"tcp:8080\"?"),
            ("fd:2", "is \"fd:2\", but must be fd: and 3 to 255"),
            ("fd:256", "is \"fd:256\", but must be fd: and 3 to 255"),
            ("fd:", "is \"fd:\", but must be fd: and 3 to 255"),
            ("tcp:", "names are not looked up"),
            ("tcp:0", "names are not looked up"),
            ("tcp:*:80", "names are not looked up"),
            ("tcp:www:80", "names are not looked up"),
            ("tcp:::1:80", "did you mean \"tcp:[::1]:80\"?"),
        ] {
            let wrong = read_ready(value).unwrap_err();
            assert!(wrong.ends_with(message), "{wrong}");
        }
    }
}
