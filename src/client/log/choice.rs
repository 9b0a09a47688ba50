//! Which lines are wanted. A line without a time of its own has that of the line
//! before it, as the lines of a stack trace have.

use std::borrow::Cow;

use regex_lite::Regex;

use super::moment::stamp;

/// What lines are to have in them.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// This text; most patterns are nothing more, and it is found faster.
    Text(String),
    /// What this expression describes.
    Expression(Regex),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str, is_caseless: bool) -> Result<Pattern, String> {
        if !is_caseless && regex_lite::escape(text) == text {
            return Ok(Pattern::Text(text.to_owned()));
        }
        let flags = if is_caseless { "(?i)" } else { "" };
        let expression = Regex::new(&format!("{flags}{text}"));
        expression.map(Pattern::Expression).map_err(|error| error.to_string())
    }

    fn is_in(&self, line: &[u8]) -> bool {
        let text: Cow<str> = String::from_utf8_lossy(line);
        match self {
            Pattern::Text(wanted) => text.contains(wanted.as_str()),
            Pattern::Expression(expression) => expression.is_match(&text),
        }
    }
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The last so many of them.
    pub lines: Option<u64>,
    /// Those of this moment and later, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Those before this moment.
    pub before: Option<u64>,
    /// Those that have this in them.
    pub pattern: Option<Pattern>,
}

/// What a line is to a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Too old, and so is whatever stands before it.
    Old,
    /// Wanted.
    Wanted,
    /// Not wanted.
    Other,
}

/// Judges line after line.
#[derive(Debug, Clone, Default)]
pub struct Judge {
    /// The time of the line before.
    pub time: Option<u64>,
}

impl Judge {
    /// Judges the next line, with its line end or without.
    pub fn judge(&mut self, choice: &Choice, line: &[u8]) -> Sort {
        let (time, length) = stamp(line).map_or((self.time, 0), |(time, it)| (Some(time), it));
        self.time = time;
        if choice.since.is_some_and(|since| time.is_some_and(|time| time < since)) {
            return Sort::Old;
        }
        if choice.before.is_some_and(|before| time.is_some_and(|time| time >= before)) {
            return Sort::Other;
        }
        let text = line.get(length..).unwrap_or_default();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        match &choice.pattern {
            Some(pattern) if !pattern.is_in(text) => Sort::Other,
            _ => Sort::Wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_text_unless_they_cannot_be() {
        let is_in = |pattern: &str, is_caseless, line: &str| {
            Pattern::read(pattern, is_caseless).unwrap().is_in(line.as_bytes())
        };
        assert!(matches!(Pattern::read("GET /x", false), Ok(Pattern::Text(_))));
        assert!(is_in("GET /x", false, "a GET /x b"));
        assert!(!is_in("GET /x", false, "a get /x b"));
        assert!(is_in("GET /x", true, "a get /x b"));
        assert!(is_in("^5[0-9]+$", false, "503"));
        assert!(!is_in("^5[0-9]+$", false, "1503"));
        assert!(Pattern::read("(", false).is_err());
        assert!(Pattern::read("é", false).unwrap().is_in("\u{e9}".as_bytes()));
        assert!(Pattern::read("a", false).unwrap().is_in(b"\xff\xfea"));
    }

    #[test]
    fn lines_without_a_time_have_that_of_the_line_before() {
        let choice = Choice { since: Some(60_000), ..Choice::default() };
        let mut judge = Judge::default();
        let sorts = [
            "who knows",
            "1970-01-01T00:00:59Z panic",
            "  at main",
            "1970-01-01T00:01:00Z panic",
            "  at main",
        ]
        .map(|line| judge.judge(&choice, line.as_bytes()));
        assert_eq!(sorts, [Sort::Wanted, Sort::Old, Sort::Old, Sort::Wanted, Sort::Wanted]);
    }

    #[test]
    fn times_are_no_part_of_what_is_looked_for() {
        let pattern = Pattern::read("^a$", false).ok();
        let choice = Choice { pattern, before: Some(60_000), ..Choice::default() };
        let sort = |line: &str| Judge::default().judge(&choice, line.as_bytes());
        assert_eq!(sort("1970-01-01T00:00:59Z a\n"), Sort::Wanted);
        assert_eq!(sort("1970-01-01T00:00:59Z ab\n"), Sort::Other);
        assert_eq!(sort("1970-01-01T00:01:00Z a\n"), Sort::Other);
        assert_eq!(sort("a\n"), Sort::Wanted);
    }
}
