//! The values that say where streams lead and how logs are kept. Readers and
//! writers as in `values.rs`.

use super::spec::{Full, Rate, Stream, Timestamps};
use super::template;
use super::values::{Choices, hint, not_one_of, read_path, wrong};
use super::words::{Must, read_count, read_duration, read_size, show_duration};

/// `log-timestamps=`
pub const TIMESTAMPS: &Choices<Timestamps> =
    &[("yes", Timestamps::Utc), ("local", Timestamps::Local), ("no", Timestamps::No)];
/// `log-full=`
pub const FULLS: &Choices<Full> = &[("drop", Full::Drop), ("block", Full::Block)];

/// Less would be a new log for each line.
const SIZE_MIN: u64 = 1024;

/// More backups than that are renamed at each rotation by nobody who means it.
const KEEP_MAX: u32 = 1000;

/// Where a stream leads. `forms` are the words it may have, in the order in
/// which a complaint tells them.
pub fn read_stream(value: &str, forms: &'static [&'static str]) -> Result<Stream, String> {
    if let Some(path) = value.strip_prefix("file:") {
        template::check(path)?;
        let is_variable = path.starts_with("${");
        return match read_path(path) {
            Ok(path) => Ok(Stream::File(path)),
            Err(_) if is_variable => Ok(Stream::File(path.into())),
            Err(must) => Err(wrong(value, &format!("file: and {must}"))),
        };
    }
    let words = [
        ("null", Stream::Null),
        ("inherit", Stream::Inherit),
        ("log", Stream::Log),
        ("syslog", Stream::Syslog),
        ("pipe", Stream::Pipe),
        ("stdout", Stream::Stdout),
    ];
    let is_meant = |word: &str| word == value && forms.contains(&word);
    if let Some((_, stream)) = words.into_iter().find(|(word, _)| is_meant(word)) {
        return Ok(stream);
    }
    let message = not_one_of(value, forms.iter().copied());
    if value.starts_with('/') {
        return Err(hint(message, Some(&format!("file:{value}"))));
    }
    Err(message)
}

/// Writes what `read_stream` reads.
pub fn show_stream(stream: &Stream) -> String {
    match stream {
        Stream::Null => "null".into(),
        Stream::Inherit => "inherit".into(),
        Stream::Stdout => "stdout".into(),
        Stream::Log => "log".into(),
        Stream::Syslog => "syslog".into(),
        Stream::Pipe => "pipe".into(),
        Stream::File(path) => format!("file:{path}"),
    }
}

/// How large a log may get; 0 is no limit.
pub fn read_log_size(word: &str) -> Result<u64, Must> {
    match read_size(word)? {
        1..SIZE_MIN => Err("at least 1K, or 0 for no limit"),
        size => Ok(size),
    }
}

/// How many backups are kept; 0 is all.
pub fn read_keep(word: &str) -> Result<u32, Must> {
    read_count(word)
        .filter(|&count| count <= KEEP_MAX)
        .ok_or("a number of backups up to 1000, or 0 for all")
}

/// Reads `1000/10s`, or `unlimited`.
pub fn read_rate(word: &str) -> Result<Option<Rate>, Must> {
    const FORM: Must = "lines/duration such as 1000/10s, or unlimited";
    if word == "unlimited" {
        return Ok(None);
    }
    let (lines, within) = word.split_once('/').ok_or(FORM)?;
    let lines = read_count(lines).ok_or(FORM)?;
    let within = read_duration(within)?;
    if lines == 0 || within.is_zero() {
        return Err("at least one line within a duration longer than 0s");
    }
    Ok(Some(Rate { lines, within }))
}

/// Writes `1000/10s`, or `unlimited`.
pub fn show_rate(rate: Option<Rate>) -> String {
    match rate {
        Some(rate) => format!("{}/{}", rate.lines, show_duration(rate.within)),
        None => "unlimited".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OUTPUTS: &[&str] = &["inherit", "null", "file:PATH"];

    #[test]
    fn rates_are_lines_within_a_time() {
        let rate = |lines, seconds| Some(Rate { lines, within: Duration::from_secs(seconds) });
        assert_eq!(read_rate("1000/10s"), Ok(rate(1000, 10)));
        assert_eq!(read_rate("1/1m"), Ok(rate(1, 60)));
        assert_eq!(read_rate("unlimited"), Ok(None));
        assert_eq!(show_rate(rate(5, 90)), "5/1m30s");
        for word in ["", "5", "5/", "/5s", "0/5s", "5/0", "-5/5s", "5/5x", "none"] {
            assert!(read_rate(word).is_err(), "{word}");
        }
    }

    #[test]
    fn logs_have_a_sensible_size() {
        assert_eq!(read_log_size("1K"), Ok(1024));
        assert_eq!(read_log_size("0"), Ok(0));
        for word in ["1", "1023", "x", "-1K"] {
            assert!(read_log_size(word).is_err(), "{word}");
        }
        assert_eq!(read_keep("1000"), Ok(1000));
        assert!(read_keep("1001").is_err());
    }

    #[test]
    fn streams_have_their_words() {
        assert_eq!(read_stream("null", OUTPUTS), Ok(Stream::Null));
        assert_eq!(read_stream("inherit", OUTPUTS), Ok(Stream::Inherit));
        assert_eq!(read_stream("file:/a b", OUTPUTS), Ok(Stream::File("/a b".into())));
        assert_eq!(
            read_stream("stdout", OUTPUTS).unwrap_err(),
            "is \"stdout\", but must be one of inherit, null, file:PATH"
        );
        assert_eq!(read_stream("stdout", &["stdout"]), Ok(Stream::Stdout));
        for value in ["file:", "file:a", "file: /a"] {
            assert!(read_stream(value, OUTPUTS).unwrap_err().ends_with("an absolute path"));
        }
        assert!(read_stream("nul", OUTPUTS).unwrap_err().ends_with("did you mean \"null\"?"));
        assert!(
            read_stream("/a", OUTPUTS).unwrap_err().ends_with("did you mean \"file:/a\"?"),
            "a bare path is the most likely mistake"
        );
    }
}
