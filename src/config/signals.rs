//! Signals by name. Numbers are the generic Linux ones of signal(7); going runs
//! on no machine that has others (Alpha, MIPS, PA-RISC, SPARC).

use std::fmt;

use super::nearest::nearest;
use super::spec::Signal;

/// In the order of their numbers, from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Second names that are in use.
const ALIASES: [(&str, u8); 3] = [("IOT", 6), ("CLD", 17), ("POLL", 29)];

/// What programs and kill(1) call the first real-time signal. The kernel's own
/// first is 32, but C libraries keep two for their threads; musl keeps a third
/// and is alone in counting from 35.
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

impl Signal {
    /// The one that cannot be refused.
    pub const KILL: Signal = Signal(9);
    /// Ends a process which does not catch it, with a core dump.
    pub const ABRT: Signal = Signal(6);
    /// The polite one.
    pub const TERM: Signal = Signal(15);

    /// Its name as one writes it in a service file, without SIG where it has a
    /// name at all.
    pub fn word(self) -> String {
        let index = usize::from(self.0).wrapping_sub(1);
        match NAMES.get(index) {
            Some(name) => (*name).into(),
            None if self.0 == RTMIN => "RTMIN".into(),
            None if self.0 > RTMIN => format!("RTMIN+{}", self.0.saturating_sub(RTMIN)),
            // With SIG, or it would be taken for an exit status in `success=`.
            None => format!("SIG{}", self.0),
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        f.write_str(if word.starts_with("SIG") { "" } else { "SIG" })?;
        f.write_str(&word)
    }
}

/// Reads `TERM`, `SIGTERM`, `15`, `RTMIN+3` or `RTMAX-2`, in capitals or not.
pub fn read_signal(word: &str) -> Option<Signal> {
    let upper = word.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = if name.starts_with(|letter: char| letter.is_ascii_digit()) {
        number(name)?
    } else if let Some(above) = name.strip_prefix("RTMIN") {
        RTMIN.checked_add(distance(above, "+")?)?
    } else if let Some(below) = name.strip_prefix("RTMAX") {
        RTMAX.checked_sub(distance(below, "-")?).filter(|&number| number >= RTMIN)?
    } else {
        let named = NAMES.iter().zip(1_u8..).map(|(name, number)| (*name, number));
        named.chain(ALIASES).find(|(known, _)| *known == name)?.1
    };
    (1..=RTMAX).contains(&number).then_some(Signal(number))
}

/// The `+3` of `RTMIN+3`, or nothing at all.
fn distance(text: &str, sign: &str) -> Option<u8> {
    if text.is_empty() { Some(0) } else { number(text.strip_prefix(sign)?) }
}

/// A number without a sign of its own.
fn number(text: &str) -> Option<u8> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The name that `word` may have been meant to be.
pub fn nearest_signal(word: &str) -> Option<&'static str> {
    let upper = word.to_ascii_uppercase();
    nearest(upper.strip_prefix("SIG").unwrap_or(&upper), NAMES.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_numbers_of_the_manual() {
        for (word, number) in [
            ("HUP", 1),
            ("SIGINT", 2),
            ("QUIT", 3),
            ("KILL", 9),
            ("USR1", 10),
            ("SEGV", 11),
            ("USR2", 12),
            ("PIPE", 13),
            ("TERM", 15),
            ("CHLD", 17),
            ("CONT", 18),
            ("STOP", 19),
            ("WINCH", 28),
            ("SYS", 31),
            ("IOT", 6),
            ("CLD", 17),
            ("POLL", 29),
            ("sigterm", 15),
            ("15", 15),
            ("SIG15", 15),
            ("64", 64),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMIN+30", 64),
            ("RTMAX", 64),
            ("RTMAX-30", 34),
            ("SIGRTMAX-1", 63),
        ] {
            assert_eq!(read_signal(word), Some(Signal(number)), "{word}");
        }
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for word in [
            "",
            "SIG",
            "SIGSIGTERM",
            "TERMS",
            "0",
            "65",
            "256",
            "-15",
            "+15",
            "15s",
            "RTMIN-1",
            "RTMIN+31",
            "RTMIN+",
            "RTMIN3",
            "RTMIN++3",
            "RTMIN+256",
            "RTMAX-31",
            "RTMAX+1",
            "TERM ",
            "RTMAX-255",
            "1\u{663}",
        ] {
            assert_eq!(read_signal(word), None, "{word}");
        }
    }

    #[test]
    fn written_signals_are_read_again() {
        for number in 1..=64 {
            let signal = Signal(number);
            assert_eq!(read_signal(&signal.word()), Some(signal));
            assert_eq!(read_signal(&signal.to_string()), Some(signal));
        }
    }

    #[test]
    fn signals_are_shown_by_their_full_names() {
        for (number, name) in [
            (1, "SIGHUP"),
            (9, "SIGKILL"),
            (15, "SIGTERM"),
            (31, "SIGSYS"),
            (32, "SIG32"),
            (33, "SIG33"),
            (34, "SIGRTMIN"),
            (37, "SIGRTMIN+3"),
            (64, "SIGRTMIN+30"),
            (0, "SIG0"),
        ] {
            assert_eq!(Signal(number).to_string(), name);
        }
    }

    #[test]
    fn mistyped_signals_are_recognized() {
        for (word, meant) in [("TREM", "TERM"), ("sigkil", "KILL"), ("SIGUSER1", "USR1")] {
            assert_eq!(nearest_signal(word), Some(meant), "{word}");
        }
        assert_eq!(nearest_signal("banana"), None);
    }
}
