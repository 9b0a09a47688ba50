//! The system's log, a datagram a line. It is never waited for: what it does not
//! take is counted, and the count is sent when it is there again.

use std::io;
use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/dev/log";

/// LOG_DAEMON of syslog(3), shifted as it goes over the wire.
const FACILITY: u8 = 3 << 3;
const ERROR: u8 = 3;
const INFO: u8 = 6;

/// Longer lines are sent in parts, since syslog daemons cut them off.
const PART_MAX: usize = 7168;

/// So long until we look for it again, in milliseconds.
const PATIENCE: u64 = 1000;
/// So long at most until we do so for nothing but to tell what was lost: the time
/// is doubled each time it is in vain.
const PATIENCE_MAX: u64 = 64_000;

/// The connection, if there is one.
#[derive(Default)]
pub struct Syslog {
    socket: Option<UnixDatagram>,
    retry_at: u64,
    lost: u64,
    /// When the count of them is sent, if nobody writes before.
    pub tell_at: Option<u64>,
    patience: u64,
}

impl Syslog {
    /// Sends one line without its newline.
    pub fn send(&mut self, name: &str, is_stderr: bool, line: &[u8], now: u64) {
        let (priority, text) = priority(line, is_stderr);
        for part in text.chunks(PART_MAX) {
            self.tell(now);
            if self.lost > 0 || !self.try_send(name, priority, part, now) {
                if self.lost == 0 {
                    self.patience = PATIENCE;
                    self.tell_at = Some(now.saturating_add(PATIENCE));
                }
                self.lost = self.lost.saturating_add(1);
                return;
            }
        }
    }

    /// Sends the count of lost lines if it is time.
    pub fn tell_if_due(&mut self, now: u64) {
        if self.tell_at.is_none_or(|at| now < at) {
            return;
        }
        self.tell(now);
        if self.lost > 0 {
            self.patience = self.patience.saturating_mul(2).min(PATIENCE_MAX);
            self.tell_at = Some(now.saturating_add(self.patience));
        }
    }

    /// Sends the count of lost lines, if there are any and it is taken.
    pub fn tell(&mut self, now: u64) {
        if self.lost == 0 {
            return;
        }
        let (s, were) = if self.lost == 1 { ("", "was") } else { ("s", "were") };
        let text = format!("--- {} line{s} of output {were} not sent", self.lost);
        if self.try_send("going-log", FACILITY | ERROR, text.as_bytes(), now) {
            self.lost = 0;
            self.tell_at = None;
        }
    }

    fn try_send(&mut self, name: &str, priority: u8, text: &[u8], now: u64) -> bool {
        let mut line = format!("<{priority}>{name}: ").into_bytes();
        line.extend_from_slice(text);
        for _ in 0..2 {
            if self.socket.is_none() {
                if now < self.retry_at {
                    return false;
                }
                self.retry_at = now.saturating_add(PATIENCE);
                self.socket = connect().ok();
            }
            let Some(socket) = &self.socket else { return false };
            match socket.send(&line) {
                Ok(_) => return true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // It was restarted.
                Err(_) => self.socket = None,
            }
        }
        false
    }
}

/// The priority that a line begins with, as those for systemd do, and the rest.
fn priority(line: &[u8], is_stderr: bool) -> (u8, &[u8]) {
    let level = if is_stderr { ERROR } else { INFO };
    let given = line.strip_prefix(b"<").and_then(|rest| {
        let end = rest.iter().take(4).position(|&byte| byte == b'>')?;
        let number: u8 = std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()?;
        // 23 facilities of 8 levels.
        (number < 192).then_some((number, rest.get(end + 1..)?))
    });
    match given {
        // Without a facility it would be the kernel's.
        Some((number, rest)) if number < 8 => (FACILITY | number, rest),
        Some(given) => given,
        None => (FACILITY | level, line),
    }
}

fn connect() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(SOCKET)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::priority;

    #[test]
    fn lines_may_bring_their_priority() {
        for (line, expected) in [
            ("text", (30, "text")),
            ("<3>text", (27, "text")),
            ("<0>", (24, "")),
            ("<13>text", (13, "text")),
            ("<191>text", (191, "text")),
            ("<192>text", (30, "<192>text")),
            ("<>text", (30, "<>text")),
            ("<3text", (30, "<3text")),
            ("<-1>text", (30, "<-1>text")),
            ("<0003>text", (30, "<0003>text")),
            ("", (30, "")),
        ] {
            let (number, rest) = priority(line.as_bytes(), false);
            assert_eq!((number, std::str::from_utf8(rest).unwrap()), expected, "{line}");
        }
        assert_eq!(priority(b"text", true).0, 27);
    }
}
