//! Moments: those that begin the lines of a log, and those which people mean by
//! `--since`. Lines are read as RFC 3339 has it and nothing else, for a number
//! that is taken for a time would put a line where it does not belong.

use std::ops::Range;

use crate::config::words::read_duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The forms of `--since`.
const FORMS: &str = "a time such as 10m, 14:30, today, yesterday, 2026-11-21 or \
                     2026-11-21T10:05:06Z";

/// The moment at the beginning of a line, in milliseconds since 1970, and the
/// length of it and of the blank behind it.
pub fn stamp(line: &[u8]) -> Option<(u64, usize)> {
    // Most lines of other programs have another byte in this place.
    if line.get(10) != Some(&b'T') {
        return None;
    }
    let date = date(line)?;
    let (time, length) = clock(line.get(11..)?)?;
    let rest = line.get(11 + length..)?;
    // Hours and minutes alone are no moment, and neither is one without zone.
    if length < "00:00:00".len() {
        return None;
    }
    let (offset, zone) = zone(rest)?;
    let end = 11 + length + zone;
    let blank = match line.get(end) {
        Some(b' ') => 1,
        Some(b'\n') | None => 0,
        Some(_) => return None,
    };
    Some(((date * DAY * 1000 + time).checked_add_signed(-offset * 1000)?, end + blank))
}

/// Reads what was given as `--since`. `offset` tells the seconds by which clocks
/// are ahead of UTC here, at a moment in seconds since 1970.
///
/// # Errors
/// What it must be.
pub fn since(text: &str, now: u64, offset: impl Fn(u64) -> i64) -> Result<u64, String> {
    let text = text.trim();
    let at_here = |seconds: u64| {
        let guess = offset(seconds);
        // That of then, not that of now: clocks are changed twice a year.
        let there = offset(seconds.saturating_add_signed(-guess));
        seconds.saturating_add_signed(-there).saturating_mul(1000)
    };
    let here = (now / 1000).saturating_add_signed(offset(now / 1000));
    let midnight = here - here % DAY;
    match text {
        "today" => return Ok(at_here(midnight)),
        "yesterday" => return Ok(at_here(midnight.saturating_sub(DAY))),
        _ => {}
    }
    let bytes = text.as_bytes();
    if let Some((time, length)) = clock(bytes) {
        if length == bytes.len() {
            let at = |day: u64| at_here(day + time / 1000) + time % 1000;
            let today = at(midnight);
            // What is not yet is of the day before: it is asked for at midnight.
            return Ok(if today > now { at(midnight.saturating_sub(DAY)) } else { today });
        }
    }
    if let Some(date) = date(bytes) {
        return moment(bytes, date, at_here).ok_or_else(|| format!("it must be {FORMS}"));
    }
    let span = text.strip_suffix(" ago").unwrap_or(text);
    let span = read_duration(span).map_err(|_| format!("it must be {FORMS}"))?;
    Ok(now.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}

/// A date, with or without a time, with or without a zone.
fn moment(text: &[u8], date: u64, at_here: impl Fn(u64) -> u64) -> Option<u64> {
    if text.len() == "2026-11-21".len() {
        return Some(at_here(date * DAY));
    }
    if !matches!(text.get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let (time, length) = clock(text.get(11..)?)?;
    let rest = text.get(11 + length..)?;
    if rest.is_empty() {
        return Some(at_here(date * DAY + time / 1000) + time % 1000);
    }
    let (offset, zone) = zone(rest)?;
    let moment = (date * DAY * 1000 + time).checked_add_signed(-offset * 1000)?;
    (zone == rest.len()).then_some(moment)
}

/// The number that these bytes are the digits of.
fn number(text: &[u8], range: Range<usize>) -> Option<u64> {
    let add = |sum: u64, byte: &u8| {
        byte.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
    };
    text.get(range)?.iter().try_fold(0, add)
}

/// `2026-11-21` as the number of its day, 1970-01-01 being 0.
fn date(text: &[u8]) -> Option<u64> {
    if text.get(4) != Some(&b'-') || text.get(7) != Some(&b'-') {
        return None;
    }
    let (year, month, day) = (number(text, 0..4)?, number(text, 5..7)?, number(text, 8..10)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    let length = lengths.get(before)?;
    if year < 1970 || !(1..=*length).contains(&day) {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    Some(years + lengths.iter().take(before).sum::<u64>() + day - 1)
}

/// `10:05`, `10:05:06` or `10:05:06.123` in milliseconds, and how long that is.
fn clock(text: &[u8]) -> Option<(u64, usize)> {
    let (hour, minute) = (number(text, 0..2)?, number(text, 3..5)?);
    if text.get(2) != Some(&b':') || hour > 23 || minute > 59 {
        return None;
    }
    let minutes = (hour * HOUR + minute * MINUTE) * 1000;
    if text.get(5) != Some(&b':') {
        return Some((minutes, 5));
    }
    // 60 is a leap second.
    let second = number(text, 6..8).filter(|second| *second <= 60)?;
    let whole = minutes + second * 1000;
    if text.get(8) != Some(&b'.') {
        return Some((whole, 8));
    }
    let digits = text.get(9..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let shown = number(text, 9..9 + digits.min(3))?;
    let millis = match digits {
        1 => shown * 100,
        2 => shown * 10,
        _ => shown,
    };
    Some((whole + millis, 9 + digits))
}

/// `Z` or `+01:00` in seconds, and how long that is.
fn zone(text: &[u8]) -> Option<(i64, usize)> {
    let sign = match text.first()? {
        b'Z' | b'z' => return Some((0, 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hour, minute) = (number(text, 1..3)?, number(text, 4..6)?);
    if text.get(3) != Some(&b':') || hour > 23 || minute > 59 {
        return None;
    }
    Some((sign * i64::try_from(hour * HOUR + minute * MINUTE).ok()?, 6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::say::moment as show;

    #[test]
    fn stamps_are_read_as_they_are_written() {
        for seconds in [0, 951_782_399, 951_782_400, 1_763_711_172, 4_107_542_400, 13_569_465_600] {
            let millis = seconds * 1000 + 123;
            let line = format!("{} text\n", show(millis));
            assert_eq!(stamp(line.as_bytes()), Some((millis, 25)), "{line}");
        }
        let line = b"2026-11-21T11:05:06.123+01:00 text";
        assert_eq!(stamp(line).map(|it| show(it.0)).unwrap(), "2026-11-21T10:05:06.123Z");
        assert_eq!(stamp(line).unwrap().1, 30);
        let time = |line: &[u8]| stamp(line).unwrap().0;
        assert_eq!(time(b"2026-11-21T10:05:06Z"), time(b"2026-11-21T10:05:06.000Z text"));
        assert_eq!(stamp(b"2026-11-21T10:05:06.5Z").unwrap().0 % 1000, 500);
        assert_eq!(stamp(b"2026-11-21T10:05:06.123456789Z").unwrap().0 % 1000, 123);
    }

    #[test]
    fn whatever_is_no_stamp_is_text() {
        for line in [
            "",
            "2026-11-21",
            "2026-11-21T10:05Z x",
            "2026-11-21T10:05:06 x",
            "2026-11-21T10:05:06Zx",
            "2026-11-21T10:05:06.Z x",
            "2026-02-29T10:05:06Z x",
            "2026-13-01T10:05:06Z x",
            "1969-12-31T10:05:06Z x",
            "2026-11-21T24:05:06Z x",
            "1970-01-01T00:00:00+01:00 x",
            "2026-11-21T10:05:06+0100 x",
            "2026-11-21T10:05:06.99999999999999999999999999999999",
        ] {
            assert_eq!(stamp(line.as_bytes()), None, "{line}");
        }
    }

    fn since_here(text: &str) -> Result<String, String> {
        // 10:05 in UTC, and 11:05 here.
        let now = stamp(b"2026-11-21T10:05:06.123Z").unwrap().0;
        since(text, now, |_| 3600).map(show)
    }

    #[test]
    fn people_mean_their_own_clocks() {
        for (text, moment) in [
            ("10m", "2026-11-21T09:55:06.123Z"),
            ("2h ago", "2026-11-21T08:05:06.123Z"),
            ("today", "2026-11-20T23:00:00.000Z"),
            ("yesterday", "2026-11-19T23:00:00.000Z"),
            ("11:00", "2026-11-21T10:00:00.000Z"),
            ("11:00:01.5", "2026-11-21T10:00:01.500Z"),
            ("11:06", "2026-11-20T10:06:00.000Z"),
            ("2026-11-21", "2026-11-20T23:00:00.000Z"),
            ("2026-11-21 09:00", "2026-11-21T08:00:00.000Z"),
            ("2026-11-21T09:00:00.250Z", "2026-11-21T09:00:00.250Z"),
            ("2026-11-21T09:00-02:00", "2026-11-21T11:00:00.000Z"),
        ] {
            assert_eq!(since_here(text).as_deref(), Ok(moment), "{text}");
        }
        for text in ["", "soon", "25:00", "2026-11-31", "2026-11-21x", "2026-11-21T09:00Zx"] {
            assert!(since_here(text).is_err(), "{text}");
        }
    }

    #[test]
    fn clocks_that_were_changed_meanwhile_do_not_matter() {
        // Summer time, two hours ahead, ended on 2026-10-25 at 01:00 UTC.
        let end = stamp(b"2026-10-25T01:00:00Z").unwrap().0;
        let offset = |seconds: u64| if seconds * 1000 < end { 7200 } else { 3600 };
        let now = end + 12 * 3_600_000;
        let midnight = since("today", now, offset).unwrap();
        assert_eq!(show(midnight), "2026-10-24T22:00:00.000Z");
        assert_eq!(since("2026-10-25", now, offset), Ok(midnight));
    }
}
