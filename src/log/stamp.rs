//! A point of time as text: that of RFC 3339 before each line, and a shorter one
//! in names of backups. Pure: the clock is read in `clock.rs`.

/// A time of the day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds since 1970, in UTC.
    pub millis: u64,
    /// How far local time is ahead, in seconds; `None` for UTC as such.
    pub offset: Option<i64>,
}

/// The text of a time.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    bytes: [u8; 32],
    length: usize,
}

impl Stamp {
    /// No text at all.
    pub const NONE: Stamp = Stamp { bytes: [0; 32], length: 0 };

    /// `2026-11-21T10:05:06.123Z ` or, being local, `2026-11-21T10:05:06.123+01:00 `.
    pub fn of(time: Time) -> Stamp {
        let (date, clock, milli) = parts(time);
        let mut stamp = Stamp::NONE;
        let signs = [b'-', b'-', b'T', b':', b':', b'.'];
        let numbers = [(date[0], 4), (date[1], 2), (date[2], 2), (clock[0], 2), (clock[1], 2)];
        let numbers = numbers.into_iter().chain([(clock[2], 2)]);
        for ((number, digits), sign) in numbers.zip(signs) {
            stamp.put_number(number, digits);
            stamp.put(sign);
        }
        stamp.put_number(milli, 3);
        match time.offset {
            None => stamp.put(b'Z'),
            Some(offset) => {
                let minutes = offset.unsigned_abs() / 60;
                stamp.put(if offset < 0 { b'-' } else { b'+' });
                stamp.put_number(minutes / 60, 2);
                stamp.put(b':');
                stamp.put_number(minutes % 60, 2);
            }
        }
        stamp.put(b' ');
        stamp
    }

    /// `20261121T100506.123`, always UTC: names must not go back in autumn.
    pub fn of_name(millis: u64) -> String {
        let ([year, month, day], [hour, minute, second], milli) =
            parts(Time { millis, offset: None });
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{milli:03}")
    }

    /// The text, with a blank at its end.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn put_number(&mut self, number: u64, digits: u32) {
        for digit in (0..digits).rev() {
            let digit = number / 10_u64.pow(digit) % 10;
            self.put(b'0' + u8::try_from(digit).unwrap_or(0));
        }
    }
}

/// Year, month, day; hour, minute, second; millisecond.
fn parts(time: Time) -> ([u64; 3], [u64; 3], u64) {
    // Ten thousand years from now is a broken clock.
    let seconds = (time.millis / 1000).min(250_000_000_000);
    let seconds = seconds.saturating_add_signed(time.offset.unwrap_or(0).clamp(-86_400, 86_400));
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since the first of March of year 0, when leap days are at the end of
    // years and months have their lengths in a fixed order: 153 days in five.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    ([year, month, day], [rest / 3600, rest / 60 % 60, rest % 60], time.millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(millis: u64, offset: Option<i64>) -> String {
        String::from_utf8(Stamp::of(Time { millis, offset }).bytes().to_vec()).unwrap()
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        assert_eq!(text(0, None), "1970-01-01T00:00:00.000Z ");
        assert_eq!(text(1_795_255_506_123, None), "2026-11-21T10:05:06.123Z ");
        assert_eq!(text(951_782_399_999, None), "2000-02-28T23:59:59.999Z ");
        assert_eq!(text(951_782_400_000, None), "2000-02-29T00:00:00.000Z ");
        assert_eq!(text(1_709_251_199_000, None), "2024-02-29T23:59:59.000Z ");
        assert_eq!(text(4_107_542_400_000, None), "2100-03-01T00:00:00.000Z ");
    }

    #[test]
    fn local_times_tell_their_offset() {
        assert_eq!(text(1_795_255_506_123, Some(3600)), "2026-11-21T11:05:06.123+01:00 ");
        assert_eq!(text(1_795_255_506_123, Some(-12_600)), "2026-11-21T06:35:06.123-03:30 ");
        assert_eq!(text(0, Some(0)), "1970-01-01T00:00:00.000+00:00 ");
        assert_eq!(text(0, Some(-3600)), "1970-01-01T00:00:00.000-01:00 ", "no time before it");
    }

    #[test]
    fn names_sort_by_time() {
        assert_eq!(Stamp::of_name(1_795_255_506_123), "20261121T100506.123");
        let names = [0, 1, 999, 1000, 60_000, 86_400_000, 1_795_255_506_123].map(Stamp::of_name);
        assert!(names.is_sorted());
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let day = |day: u64| parts(Time { millis: day * 86_400_000, offset: None }).0;
        for number in 1..100_000 {
            let ([year, month, date], next) = (day(number - 1), day(number));
            let is_next = next == [year, month, date + 1]
                || next == [year, month + 1, 1] && date >= 28
                || next == [year + 1, 1, 1] && (month, date) == (12, 31);
            assert!(is_next, "{year}-{month}-{date} is followed by {next:?}");
        }
    }

    #[test]
    fn no_clock_is_too_wrong() {
        assert_eq!(text(u64::MAX, Some(i64::MAX)).len(), 30);
        assert_eq!(text(0, Some(i64::MIN)).len(), 30);
    }
}
