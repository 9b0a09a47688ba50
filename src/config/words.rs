//! Single words with a meaning: durations, sizes, counts. Each reader tells
//! what the word must be, never what it was, so that one place words the
//! complaint; each has a writer whose words it reads again.
//!
//! Nothing here may overflow: what is read is added to moments later on.

use std::time::Duration;

use super::spec::Burst;

/// What a word must be, to follow `but must be`.
pub type Must = &'static str;

/// A hundred years. Longer waits are typing errors, and this many milliseconds
/// can be doubled and added to any uptime without leaving 64 bits.
const DURATION_MAX: u64 = 36_500 * DAY;
const DAY: u64 = 24 * HOUR;
const HOUR: u64 = 60 * MINUTE;
const MINUTE: u64 = 60 * SECOND;
const SECOND: u64 = 1000;

/// Largest first, as they stand in a word. A unit is all there is up to the next
/// digit, so `m` is never mistaken for the beginning of `ms`.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)];

/// More deaths than that are too many to keep their times in mind.
const BURST_MAX: u16 = 1000;

/// Reads `90`, `90s`, `1m30s`, `500ms`; a bare number means seconds.
pub fn read_duration(word: &str) -> Result<Duration, Must> {
    const FORM: Must = "a duration such as 500ms, 5s or 1m30s";
    const TOO_LONG: Must = "no longer than 36500d (100 years)";
    let mut total: u64 = 0;
    let mut rest = word;
    let mut units = DURATION_UNITS.iter();
    loop {
        let (digits, after) = cut_at(rest, |letter| !letter.is_ascii_digit());
        let (unit, after) = cut_at(after, |letter| letter.is_ascii_digit());
        let unit = if unit.is_empty() && rest.len() == word.len() { "s" } else { unit };
        // Taking units off one list in order refuses both `1m1m` and `30s1m`.
        let &(_, length) = units.find(|(name, _)| *name == unit).ok_or(FORM)?;
        if digits.is_empty() {
            return Err(FORM);
        }
        let count = digits.parse::<u64>().map_err(|_| TOO_LONG)?;
        total =
            count.checked_mul(length).and_then(|part| part.checked_add(total)).ok_or(TOO_LONG)?;
        if total > DURATION_MAX {
            return Err(TOO_LONG);
        }
        if after.is_empty() {
            return Ok(Duration::from_millis(total));
        }
        rest = after;
    }
}

/// Writes `1m30s`.
pub fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (name, length) in DURATION_UNITS {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(name);
        }
    }
    text
}

/// Reads `512`, `10K`, `1MB`, `2GiB`; each step is 1024 times the one below.
pub fn read_size(word: &str) -> Result<u64, Must> {
    const FORM: Must = "a size such as 4096, 10K, 1M or 2G";
    const TOO_LARGE: Must = "a size below 16 EiB";
    let (digits, unit) = cut_at(word, |letter| !letter.is_ascii_digit());
    if digits.is_empty() {
        return Err(FORM);
    }
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(FORM),
    };
    let count = digits.parse::<u64>().map_err(|_| TOO_LARGE)?;
    count.checked_mul(1024_u64.pow(power)).ok_or(TOO_LARGE)
}

/// Writes `10K`, in the largest unit that leaves no remainder.
pub fn show_size(size: u64) -> String {
    for (unit, power) in [("T", 4), ("G", 3), ("M", 2), ("K", 1)] {
        let length = 1024_u64.pow(power);
        if size != 0 && size % length == 0 {
            return format!("{}{unit}", size / length);
        }
    }
    size.to_string()
}

/// Reads an octal file mode mask.
pub fn read_umask(word: &str) -> Result<u32, Must> {
    const FORM: Must = "an octal mask from 000 to 777";
    // from_str_radix takes a sign too.
    if !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FORM);
    }
    match u32::from_str_radix(word, 8) {
        Ok(mask) if mask <= 0o777 => Ok(mask),
        _ => Err(FORM),
    }
}

/// Writes `022`.
pub fn show_umask(mask: u32) -> String {
    format!("{mask:03o}")
}

/// Reads `yes` or `no`.
pub fn read_yes(word: &str) -> Result<bool, Must> {
    match word {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("yes or no"),
    }
}

/// Writes `yes` or `no`.
pub fn show_yes(yes: bool) -> String {
    if yes { "yes".into() } else { "no".into() }
}

/// Reads `10` or `10%`.
pub fn read_percent(word: &str) -> Result<u8, Must> {
    const FORM: Must = "a percentage from 0 to 100";
    let count = read_count(word.strip_suffix('%').unwrap_or(word)).ok_or(FORM)?;
    u8::try_from(count).ok().filter(|&percent| percent <= 100).ok_or(FORM)
}

/// Reads a number without sign or blanks.
pub fn read_count(word: &str) -> Option<u32> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) { word.parse().ok() } else { None }
}

/// Reads `10/60s`, or `none`.
pub fn read_burst(word: &str) -> Result<Option<Burst>, Must> {
    const FORM: Must = "deaths/duration such as 10/60s, or none";
    if word == "none" {
        return Ok(None);
    }
    let (count, within) = word.split_once('/').ok_or(FORM)?;
    let count = read_count(count).ok_or(FORM)?;
    let within = read_duration(within)?;
    match u16::try_from(count) {
        Ok(count @ 2..=BURST_MAX) if !within.is_zero() => Ok(Some(Burst { count, within })),
        Ok(2..=BURST_MAX) => Err("deaths within a duration longer than 0s"),
        _ => Err("from 2 to 1000 deaths within a duration"),
    }
}

/// Writes `10/1m`, or `none`.
pub fn show_burst(burst: Option<Burst>) -> String {
    match burst {
        Some(burst) => format!("{}/{}", burst.count, show_duration(burst.within)),
        None => "none".into(),
    }
}

/// `text` before and from the first letter that `is_end`.
fn cut_at(text: &str, is_end: fn(char) -> bool) -> (&str, &str) {
    let end = text.find(is_end).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(word: &str) -> Option<u128> {
        read_duration(word).ok().map(|duration| duration.as_millis())
    }

    #[test]
    fn durations_are_read_with_and_without_units() {
        for (word, expected) in [
            ("0", 0),
            ("5", 5000),
            ("5s", 5000),
            ("500ms", 500),
            ("1m", 60_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("1m500ms", 60_500),
            ("90m", 5_400_000),
            ("0005", 5000),
            ("36500d", 3_153_600_000_000),
        ] {
            assert_eq!(millis(word), Some(expected), "{word}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for word in [
            "", "s", "ms", "-5", "+5", "0.5s", "5 s", "5S", "5x", "1m30", "30s1m", "1m1m", "5ss",
            "5s ", " 5", "1h-3m", "\u{663}s", "5\u{b5}s", "s5", "infinity", "1e3", "0x10",
        ] {
            assert_eq!(read_duration(word), Err("a duration such as 500ms, 5s or 1m30s"), "{word}");
        }
    }

    #[test]
    fn durations_end_at_a_hundred_years() {
        // Some of these are zero, or small, when they overflow 64 bits.
        for word in [
            "36501d",
            "36500d1ms",
            "3153600001",
            "18446744073709551615d",
            "18014398509481984d",
            "2305843009213693952s",
            "1d18446744073623151616ms",
            "99999999999999999999s",
        ] {
            assert_eq!(read_duration(word), Err("no longer than 36500d (100 years)"), "{word}");
        }
        assert!(read_duration(&"9".repeat(400)).is_err());
    }

    #[test]
    fn durations_are_written_in_one_way() {
        for (millis, text) in [
            (0, "0s"),
            (1, "1ms"),
            (1000, "1s"),
            (90_000, "1m30s"),
            (3_600_000, "1h"),
            (86_400_001, "1d1ms"),
        ] {
            assert_eq!(show_duration(Duration::from_millis(millis)), text);
        }
        // Out of reach of a file, but no reason to fail.
        assert!(show_duration(Duration::MAX).ends_with("ms"));
    }

    #[test]
    fn sizes_are_powers_of_1024_whatever_their_case() {
        for (word, size) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("10K", 10_240),
            ("10k", 10_240),
            ("1KB", 1024),
            ("1kib", 1024),
            ("1M", 1 << 20),
            ("1MB", 1 << 20),
            ("2G", 2 << 30),
            ("2GiB", 2 << 30),
            ("3T", 3 << 40),
            ("16777215T", 16_777_215 << 40),
        ] {
            assert_eq!(read_size(word), Ok(size), "{word}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for word in ["", "K", "1.5M", "-1", "+1", "1 K", "1KK", "1X", "1Kb s"] {
            assert_eq!(read_size(word), Err("a size such as 4096, 10K, 1M or 2G"), "{word}");
        }
        for word in ["18446744073709551616", "16777216T", "18014398509481984K"] {
            assert_eq!(read_size(word), Err("a size below 16 EiB"), "{word}");
        }
    }

    #[test]
    fn sizes_are_written_in_the_largest_whole_unit() {
        for (size, text) in
            [(0, "0"), (1000, "1000"), (1024, "1K"), (1 << 20, "1M"), (1536, "1536")]
        {
            assert_eq!(show_size(size), text);
        }
    }

    #[test]
    fn umasks_are_octal_and_have_nine_bits() {
        for (word, mask) in
            [("022", 0o022), ("22", 0o022), ("0", 0), ("0027", 0o27), ("777", 0o777)]
        {
            assert_eq!(read_umask(word), Ok(mask), "{word}");
        }
        for word in ["", "8", "1000", "7777", "+22", "-1", "0o22", "rwx", "77777777777777"] {
            assert!(read_umask(word).is_err(), "{word}");
        }
        assert_eq!(show_umask(0o2), "002");
    }

    #[test]
    fn yes_and_no_are_the_only_answers() {
        assert_eq!(read_yes("yes"), Ok(true));
        assert_eq!(read_yes("no"), Ok(false));
        for word in ["", "Yes", "true", "1", "on"] {
            assert_eq!(read_yes(word), Err("yes or no"), "{word}");
        }
        assert_eq!((show_yes(true), show_yes(false)), ("yes".into(), "no".into()));
    }

    #[test]
    fn percentages_end_at_100() {
        assert_eq!(read_percent("0"), Ok(0));
        assert_eq!(read_percent("100%"), Ok(100));
        for word in ["", "%", "101", "256", "10%%", "-1", "5.5", "99999999999"] {
            assert!(read_percent(word).is_err(), "{word}");
        }
    }

    #[test]
    fn counts_have_no_sign_and_fit_32_bits() {
        assert_eq!(read_count("4294967295"), Some(u32::MAX));
        for word in ["", "-1", "+1", " 1", "1 ", "4294967296", "1k"] {
            assert_eq!(read_count(word), None, "{word}");
        }
    }

    #[test]
    fn bursts_are_deaths_within_a_duration() {
        let burst = |count, secs| Ok(Some(Burst { count, within: Duration::from_secs(secs) }));
        assert_eq!(read_burst("10/60s"), burst(10, 60));
        assert_eq!(read_burst("2/1m30s"), burst(2, 90));
        assert_eq!(read_burst("1000/1"), burst(1000, 1));
        assert_eq!(read_burst("none"), Ok(None));
        for word in ["", "10", "/", "10/", "/60s", "10/60s/5", "None", "10 / 60s", "10/0", "1/60s"]
        {
            assert!(read_burst(word).is_err(), "{word}");
        }
        for word in ["0/60s", "1001/60s", "65536/60s", "65538/60s"] {
            assert_eq!(read_burst(word), Err("from 2 to 1000 deaths within a duration"), "{word}");
        }
        assert_eq!(show_burst(None), "none");
        assert_eq!(show_burst(read_burst("10/60s").unwrap()), "10/1m");
    }

    proptest! {
        #[test]
        fn written_durations_are_read_again(millis in 0..=DURATION_MAX) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(read_duration(&show_duration(duration)), Ok(duration));
        }

        #[test]
        fn written_sizes_are_read_again(size in any::<u64>(), zeros in 0..64_u32) {
            let size = size.checked_shl(zeros).unwrap_or(0);
            prop_assert_eq!(read_size(&show_size(size)), Ok(size));
        }

        #[test]
        fn written_bursts_are_read_again(count in 2..=BURST_MAX, millis in 1..=DURATION_MAX) {
            let burst = Some(Burst { count, within: Duration::from_millis(millis) });
            prop_assert_eq!(read_burst(&show_burst(burst)), Ok(burst));
        }

        #[test]
        fn no_word_makes_a_reader_panic(word in r"([0-9]{0,25}(d|h|m|s|ms|K|GB|/|%)){0,6}|\PC{0,20}") {
            let _ = (read_duration(&word), read_size(&word), read_burst(&word));
            let _ = (read_umask(&word), read_percent(&word), read_count(&word), read_yes(&word));
        }
    }
}
