//! What a service says of itself, as sd_notify(3) has it: lines of `NAME=VALUE` in one
//! datagram. Anybody may have written it, so what is wrong with a line costs that line,
//! and nothing of it is ever shown as it came.

use std::time::Duration;

/// Longer datagrams say nothing (PIPE_BUF, as with systemd).
pub const NOTICE_MAX: usize = 4096;

/// So many letters of a status are kept: what fits in a line of a wide screen.
pub const STATUS_MAX: usize = 160;

/// One line that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It is ready, or has read its configuration again.
    Ready,
    /// It reads its configuration again.
    Reloading,
    /// It is about to end.
    Stopping,
    /// What it does, for people; may be empty.
    Status(String),
    /// Which process it is from now on.
    Main(i32),
    /// It is well.
    Alive,
    /// It hangs.
    Hung,
    /// How long its watchdog is to wait from now on.
    Watchdog(Duration),
    /// It needs so much more time.
    Extend(Duration),
}

/// What a datagram says, who it is first.
pub fn read(datagram: &[u8]) -> Vec<Notice> {
    let mut notices = Vec::new();
    let text = datagram.strip_suffix(b"\0").unwrap_or(datagram);
    if datagram.len() > NOTICE_MAX || text.contains(&0) {
        return notices;
    }
    for line in text.split(|&byte| byte == b'\n') {
        notices.extend(read_line(line));
    }
    // Stable: what is said twice counts as it was said last.
    notices.sort_by_key(|it| !matches!(it, Notice::Main(_)));
    notices
}

fn read_line(line: &[u8]) -> Option<Notice> {
    let at = line.iter().position(|&byte| byte == b'=')?;
    let (name, value) = line.split_at_checked(at)?;
    let value = value.get(1..)?;
    let number = || {
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(value).ok().filter(|_| is_number)
    };
    let time = || number()?.parse().ok().map(Duration::from_micros);
    match (name, value) {
        (b"READY", b"1") => Some(Notice::Ready),
        (b"RELOADING", b"1") => Some(Notice::Reloading),
        (b"STOPPING", b"1") => Some(Notice::Stopping),
        (b"WATCHDOG", b"1") => Some(Notice::Alive),
        (b"WATCHDOG", b"trigger") => Some(Notice::Hung),
        (b"STATUS", _) => Some(Notice::Status(clean(value))),
        (b"MAINPID", _) => number()?.parse().ok().filter(|&it| it > 1).map(Notice::Main),
        (b"WATCHDOG_USEC", _) => time().filter(|it| !it.is_zero()).map(Notice::Watchdog),
        (b"EXTEND_TIMEOUT_USEC", _) => time().map(Notice::Extend),
        _ => None,
    }
}

/// One line that does nothing to a terminal.
fn clean(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let letters = text.chars().map(|letter| if is_odd(letter) { ' ' } else { letter });
    let letters = letters.skip_while(|letter| letter.is_whitespace());
    let mut clean: String = letters.take(STATUS_MAX + 1).collect();
    if let Some((end, _)) = clean.char_indices().nth(STATUS_MAX) {
        clean.truncate(end);
        clean.push('…');
    }
    clean.truncate(clean.trim_end().len());
    clean
}

/// What is no letter, but an order to the terminal: control characters, ends of lines, and
/// what turns the direction of writing.
fn is_odd(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_one_thing_and_who_it_is_comes_first() {
        let text =
            b"READY=1\nSTATUS= all \x1b[31m well\x07 \nMAINPID=77\nX=1\nWATCHDOG=1\n\nREADY\n\
                     EXTEND_TIMEOUT_USEC=1500000\nWATCHDOG_USEC=20\nRELOADING=1\nSTOPPING=1\n\
                     WATCHDOG=trigger\nMONOTONIC_USEC=5\nREADY=0";
        assert_eq!(
            read(text),
            [
                Notice::Main(77),
                Notice::Ready,
                Notice::Status("all  [31m well".to_owned()),
                Notice::Alive,
                Notice::Extend(Duration::from_millis(1500)),
                Notice::Watchdog(Duration::from_micros(20)),
                Notice::Reloading,
                Notice::Stopping,
                Notice::Hung,
            ]
        );
    }

    #[test]
    fn what_is_wrong_costs_its_line_only() {
        for line in [
            "MAINPID=1",
            "MAINPID=-7",
            "MAINPID=+7",
            "MAINPID=99999999999",
            "MAINPID=",
            "WATCHDOG_USEC=0",
            "WATCHDOG_USEC=99999999999999999999999",
            "EXTEND_TIMEOUT_USEC=1.5",
            "READY=1 ",
            "ready=1",
            "=1",
            "BARRIER=1",
        ] {
            assert_eq!(read(format!("{line}\nWATCHDOG=1").as_bytes()), [Notice::Alive], "{line}");
        }
        assert_eq!(read(b"READY=1\0"), [Notice::Ready]);
        assert_eq!(read(b"READY=1\0\n"), []);
        assert_eq!(read(&[b'\n'; NOTICE_MAX + 1]), []);
    }

    #[test]
    fn a_status_is_a_short_line() {
        let status = |text: &str| match read(format!("STATUS={text}").as_bytes()).pop() {
            Some(Notice::Status(status)) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status(""), "");
        assert_eq!(status("a\u{85}b\u{202e}c"), "a b c");
        let long = "ä".repeat(STATUS_MAX);
        assert_eq!(status(&long), long);
        assert_eq!(status(&format!("{long}x")), format!("{long}…"));
        assert_eq!(read(b"STATUS=\xff"), [Notice::Status("\u{fffd}".into())]);
    }
}
