//! Figures in the words of people: how long, how much, when, how it ended. Each
//! keeps its figures few: what is read at a glance is read at all.

use crate::client::reply::{Death, End};
use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// `35ms`, `8.2s`, `42s`, `5m 3s`, `3h 12m`, `4d 2h`: never more than two units.
pub fn span(span: Duration) -> String {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    let pair = |count: u64, unit: &str, rest: u64, least: &str| match rest {
        0 => format!("{count}{unit}"),
        _ => format!("{count}{unit} {rest}{least}"),
    };
    match seconds {
        0 if millis == 0 => "0s".to_owned(),
        0 => format!("{millis}ms"),
        1..10 if millis > 0 => format!("{seconds}.{}s", millis / 100),
        1..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => pair(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        HOUR..DAY => pair(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        _ => pair(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
    }
}

/// `512`, `12.3K`, `340M`: three figures in steps of 1024, as ls(1) and ps(1)
/// show sizes.
pub fn size(bytes: u64) -> String {
    let mut unit = 1_u64;
    for sign in ["", "K", "M", "G", "T"] {
        let count = bytes / unit;
        if count < 1024 {
            return if count < 100 && unit > 1 {
                format!("{count}.{}{sign}", bytes % unit * 10 / unit)
            } else {
                format!("{count}{sign}")
            };
        }
        unit = unit.saturating_mul(1024);
    }
    format!("{}P", bytes / unit)
}

/// Part of a whole, in tenths of a per cent: `0.4%`, `12.0%`, `134%`.
pub fn percent(part: Duration, whole: Duration) -> String {
    let tenths = part.as_micros().saturating_mul(1000).checked_div(whole.as_micros()).unwrap_or(0);
    match tenths {
        0..1000 => format!("{}.{}%", tenths / 10, tenths % 10),
        _ => format!("{}%", tenths / 10),
    }
}

/// What comes next and when: `start in 8.2s`, `gives up in 80s`.
pub fn coming(next: &str, time: Duration) -> String {
    let what = match next {
        "give-up" => "gives up".to_owned(),
        _ => next.replace('-', " "),
    };
    format!("{what} in {}", span(time))
}

/// `1 service`, `2 services`.
pub fn count(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// `exit status 3`, `killed by SIGSEGV (core dumped)`, or why it never ran.
pub fn ended(end: &End) -> String {
    match end {
        End::Exit(status) => format!("exit status {status}"),
        End::Memory => "killed by the kernel for memory".to_owned(),
        End::Signal { name, core: false } => format!("killed by SIG{name}"),
        End::Signal { name, core: true } => format!("killed by SIG{name} (core dumped)"),
        End::Unknown => "exit unknown".to_owned(),
        End::Fault(why) => why.clone(),
    }
}

/// How a run ended, how long it was, and how long ago that is.
pub fn death(death: &Death) -> String {
    let (how, ago) = (ended(&death.end), span(death.ago));
    let ran = span(death.ran);
    match (&death.end, death.ordered) {
        (End::Fault(_), _) => format!("{how}, {ago} ago"),
        (_, true) => format!("stopped after {ran}, {how}, {ago} ago"),
        (_, false) => format!("{how} after {ran}, {ago} ago"),
    }
}

/// A moment as RFC 3339 has it, in UTC, to the millisecond. `millis` counts from
/// 1970.
pub fn moment(millis: u64) -> String {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / HOUR, seconds % HOUR / MINUTE, seconds % MINUTE);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of the day of this number, 1970-01-01 being 0. Counts
/// whole years, then months: there are few, and nothing is to be remembered
/// about eras.
fn date(days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    // The calendar repeats every 400 years.
    let (mut year, mut rest) = (1970 + days / 146_097 * 400, days % 146_097);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if rest < length {
            break;
        }
        rest -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_at_most_two_units() {
        for (millis, text) in [
            (0, "0s"),
            (35, "35ms"),
            (999, "999ms"),
            (1000, "1s"),
            (1001, "1.0s"),
            (8299, "8.2s"),
            (10_000, "10s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (303_000, "5m 3s"),
            (3_600_000, "1h"),
            (11_520_000, "3h 12m"),
            (86_400_000, "1d"),
            (360_000_000, "4d 4h"),
            (90_000_000_000, "1041d 16h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn sizes_have_three_figures() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0K"),
            (1536, "1.5K"),
            (12_900_000, "12.3M"),
            (350_000_000, "333M"),
            (1_073_741_823, "1023M"),
            (5_368_709_120, "5.0G"),
            (u64::MAX, "16383P"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn shares_are_shown_in_per_cent() {
        let share =
            |part, whole| percent(Duration::from_millis(part), Duration::from_millis(whole));
        assert_eq!(share(4, 1000), "0.4%");
        assert_eq!(share(500, 1000), "50.0%");
        assert_eq!(share(1500, 1000), "150%");
        assert_eq!(share(5, 0), "0.0%");
    }

    #[test]
    fn words_agree_with_their_numbers() {
        assert_eq!([count(0, "service"), count(1, "strike")], ["0 services", "1 strike"]);
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_763_711_172, "2025-11-21T07:46:12.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (13_569_465_600, "2400-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(moment(seconds * 1000), text);
        }
        assert_eq!(moment(345), "1970-01-01T00:00:00.345Z");
        // Nonsense, but no panic.
        assert!(moment(u64::MAX).ends_with('Z'));
    }
}
