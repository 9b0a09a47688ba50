//! When what waits is sent: at once, together every so often, or at a time of the day
//! or week. Pure: whoever asks says what time it is.

use std::time::Duration;

use crate::config::grammar::blank_separated;
use crate::config::values::wrong;
use crate::config::words::read_duration;

const MINUTE: u64 = 60 * 1000;
const DAY: u64 = 24 * 60 * MINUTE;

/// The days, by how many there are after a Thursday, as the first one of 1970 was.
const DAYS: [&str; 7] = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// At once.
    Now,
    /// So long after the first one that waits.
    Period(Duration),
    /// At this minute of the day.
    Daily(u16),
    /// On this day of the week, at this minute.
    Weekly(u8, u16),
}

/// Reads `now`, `10m`, `daily 9:00`, `weekly mon 9:00`.
///
/// # Errors
/// What it must be.
pub fn read(value: &str) -> Result<Every, String> {
    let must = "now, a duration from 1s to 1d, daily HH:MM or weekly DAY HH:MM";
    let words: Vec<&str> = blank_separated(value).collect();
    let every = match words.as_slice() {
        ["now"] => Some(Every::Now),
        ["daily", time] => minute(time).map(Every::Daily),
        ["weekly", day, time] => {
            let day = DAYS.iter().position(|it| it.eq_ignore_ascii_case(day));
            let day = day.and_then(|day| u8::try_from(day).ok());
            day.zip(minute(time)).map(|(day, minute)| Every::Weekly(day, minute))
        }
        [word] => read_duration(word)
            .ok()
            .filter(|it| (Duration::from_secs(1)..=Duration::from_millis(DAY)).contains(it))
            .map(Every::Period),
        _ => None,
    };
    every.ok_or_else(|| wrong(value, must))
}

fn minute(time: &str) -> Option<u16> {
    let (hour, minute) = time.split_once(':')?;
    let number = |text: &str, most: u16| {
        let is_good = (1..=2).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
        text.parse::<u16>().ok().filter(|it| is_good && *it <= most)
    };
    Some(number(hour, 23)? * 60 + number(minute, 59)?)
}

impl Every {
    /// How long what happened at `first` still waits. Times are in milliseconds since
    /// 1970; `offset` is what the clocks of people are ahead of that.
    pub fn wait(self, first: u64, now: u64, offset: i64) -> Duration {
        let until = match self {
            Every::Now => return Duration::ZERO,
            Every::Period(period) => {
                first.saturating_add(u64::try_from(period.as_millis()).unwrap_or(u64::MAX))
            }
            Every::Daily(minute) => next(first, offset, minute, DAY, 0),
            Every::Weekly(day, minute) => next(first, offset, minute, 7 * DAY, u64::from(day)),
        };
        Duration::from_millis(until.saturating_sub(now))
    }
}

/// The first moment after `first` which is this minute of this day of the cycle.
fn next(first: u64, offset: i64, minute: u16, cycle: u64, day: u64) -> u64 {
    let local = first.saturating_add_signed(offset);
    let goal = day * DAY + u64::from(minute) * MINUTE;
    let begun = local - local % cycle;
    let at = begun.saturating_add(goal);
    let at = if at > local { at } else { at.saturating_add(cycle) };
    at.saturating_add_signed(offset.saturating_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * MINUTE;

    #[test]
    fn words_say_when() {
        assert_eq!(read("now"), Ok(Every::Now));
        assert_eq!(read("10m"), Ok(Every::Period(Duration::from_secs(600))));
        assert_eq!(read("daily 9:05"), Ok(Every::Daily(545)));
        assert_eq!(read("weekly Mon 00:00"), Ok(Every::Weekly(4, 0)));
        for word in
            ["0", "2d", "daily", "daily 24:00", "daily 9:60", "daily 9", "weekly xyz 9:00", ""]
        {
            assert!(read(word).unwrap_err().contains("weekly DAY HH:MM"), "{word}");
        }
    }

    #[test]
    fn what_waits_goes_at_the_next_time_after_it_happened() {
        let wait = |every: Every, first, now, offset| every.wait(first, now, offset).as_millis();
        assert_eq!(wait(Every::Now, 5, 5, 0), 0);
        assert_eq!(wait(Every::Period(Duration::from_secs(60)), 1000, 31_000, 0), 30_000);
        let nine = Every::Daily(540);
        assert_eq!(wait(nine, 0, 0, 0), u128::from(9 * HOUR));
        assert_eq!(wait(nine, 9 * HOUR, 9 * HOUR, 0), u128::from(DAY), "not twice a day");
        assert_eq!(wait(nine, 0, 20 * HOUR, 0), 0, "we were not there at nine");
        // Two hours east, nine is seven.
        let east = i64::try_from(2 * HOUR).unwrap();
        assert_eq!(wait(nine, 0, 0, east), u128::from(7 * HOUR));
        // A Thursday, half past midnight; Monday is four days later.
        let monday = Every::Weekly(4, 0);
        assert_eq!(wait(monday, HOUR / 2, HOUR / 2, 0), u128::from(4 * DAY - HOUR / 2));
        assert_eq!(wait(monday, 4 * DAY, 4 * DAY, 0), u128::from(7 * DAY));
    }
}
