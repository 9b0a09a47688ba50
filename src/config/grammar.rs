//! The form of a service file: lines of `key=value`, and words in quotes. It
//! must never cut, guess or join anything, because what follows a cut would be
//! read as if the operator had written it.

use super::parse::Complaint;

/// How much of a mistyped word a message repeats.
const SHOWN_MAX: usize = 60;

/// One line that says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: u32,
    /// What stands before the first `=`, without blanks; never empty.
    pub key: &'a str,
    /// What stands after it, without blanks around; may be empty.
    pub value: &'a str,
}

/// The lines of a file that are neither blank nor comment, one after another.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    rest: Option<&'a [u8]>,
    number: u32,
}

/// Takes the lines of a service file apart.
pub fn lines(text: &[u8]) -> Lines<'_> {
    // Editors that end lines with CR LF also begin files with this mark.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    Lines { rest: Some(text), number: 0 }
}

impl<'a> Lines<'a> {
    fn next_raw(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        self.number = self.number.saturating_add(1);
        let mut halves = rest.splitn(2, |&byte| byte == b'\n');
        let line = halves.next()?;
        self.rest = halves.next();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, Complaint>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let raw = self.next_raw()?;
            let number = self.number;
            match line(raw) {
                Ok(None) => {}
                Ok(Some((key, value))) => return Some(Ok(Line { number, key, value })),
                Err(message) => return Some(Err(Complaint { line: number, message })),
            }
        }
    }
}

/// Key and value of one line, or nothing when it is blank or a comment.
fn line(raw: &[u8]) -> Result<Option<(&str, &str)>, String> {
    // A comment is checked too: bytes that are no text are the mark of a file
    // that is not what its owner believes it to be.
    let text = match std::str::from_utf8(raw) {
        Ok(text) => text,
        Err(error) => {
            let column = error.valid_up_to().saturating_add(1);
            return Err(format!("not UTF-8 at byte {column} of the line"));
        }
    };
    // A carriage return within a line makes a terminal write one half over the
    // other, and some editors take it for a line end: what one sees there is
    // not what is read here.
    for (stray, name) in [('\0', "NUL"), ('\r', "carriage return")] {
        if let Some(before) = text.find(stray) {
            return Err(format!("{name} at byte {} of the line", before.saturating_add(1)));
        }
    }
    let text = trim(text);
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let Some((key, value)) = text.split_once('=') else {
        return Err(format!("no \"=\" in {}, but a line must be key=value", show(text)));
    };
    let (key, value) = (trim(key), trim(value));
    if key.is_empty() {
        return Err("no key before the \"=\"".into());
    }
    Ok(Some((key, value)))
}

/// The first line whose key is `key`, whatever else may be wrong with it; 0
/// when there is none.
pub fn line_of(text: &[u8], key: &[u8]) -> u32 {
    let mut lines = lines(text);
    while let Some(raw) = lines.next_raw() {
        let mut halves = raw.splitn(2, |&byte| byte == b'=');
        let is_found = halves.next().is_some_and(|half| trim_bytes(half) == key);
        if is_found && halves.next().is_some() {
            return lines.number;
        }
    }
    0
}

fn trim_bytes(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Takes the blanks off both ends. Only blanks: other white space is part of a
/// name, however odd.
pub fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The parts of `text` between blanks.
pub fn blank_separated(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t']).filter(|word| !word.is_empty())
}

/// `word` in double quotes, fit to be shown on one line of a terminal or log
/// however long or strange it is.
pub fn show(word: &str) -> String {
    match word.char_indices().nth(SHOWN_MAX).and_then(|(end, _)| word.get(..end)) {
        Some(start) => format!("\"{}...\"", visible(start)),
        None => format!("\"{}\"", visible(word)),
    }
}

/// `text` in letters that are seen, so that it cannot pass for a line of its own
/// or move a cursor.
pub fn visible(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars() {
        if is_invisible(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Whether a reader would not see `letter`, or see others in the wrong order
/// because of it; a message about it would be a riddle.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || (letter.is_whitespace() && letter != ' ')
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}

/// Splits `text` into words as sh(1) does, with single quotes, double quotes and
/// backslashes, and nothing else of it: no variable, pattern or operator.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    scan(text, |word, letter, _| word.push(letter))
}

/// Splits, and lets `push` add each letter to its word, knowing whether it was
/// quoted so that it could mean nothing to a shell.
pub(super) fn scan(
    text: &str,
    mut push: impl FnMut(&mut String, char, bool),
) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    // There is a word as soon as there is a quote: `''` is an empty one.
    let mut word: Option<String> = None;
    let mut letters = text.chars().zip(1_usize..);
    while let Some((letter, column)) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                single_quoted(&mut letters, |letter| push(word, letter, true))
                    .ok_or_else(|| unclosed("single", column))?;
            }
            '"' => {
                let word = word.get_or_insert_default();
                double_quoted(&mut letters, |letter, is_quoted| push(word, letter, is_quoted))
                    .ok_or_else(|| unclosed("double", column))?;
            }
            '\\' => match letters.next() {
                Some(('\n', _)) => {}
                Some((quoted, _)) => push(word.get_or_insert_default(), quoted, true),
                None => {
                    return Err(format!(
                        "ends with a backslash (column {column} of the value) that quotes nothing"
                    ));
                }
            },
            _ => push(word.get_or_insert_default(), letter, false),
        }
    }
    words.extend(word);
    Ok(words)
}

fn unclosed(kind: &str, column: usize) -> String {
    format!("has a {kind} quote in column {column} of the value that is never closed")
}

fn single_quoted(
    letters: &mut impl Iterator<Item = (char, usize)>,
    mut push: impl FnMut(char),
) -> Option<()> {
    loop {
        match letters.next()?.0 {
            '\'' => return Some(()),
            letter => push(letter),
        }
    }
}

fn double_quoted(
    letters: &mut impl Iterator<Item = (char, usize)>,
    mut push: impl FnMut(char, bool),
) -> Option<()> {
    loop {
        match letters.next()?.0 {
            '"' => return Some(()),
            '\\' => match letters.next()?.0 {
                '\n' => {}
                quoted @ ('$' | '`' | '"' | '\\') => push(quoted, true),
                other => {
                    push('\\', false);
                    push(other, false);
                }
            },
            letter => push(letter, false),
        }
    }
}

/// Writes `words` so that `split` and sh(1) read the same words again.
pub fn join(words: &[String]) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        quote_into(&mut text, word);
    }
    text
}

/// Writes one word, in quotes if there is need.
pub(super) fn quote_into(text: &mut String, word: &str) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        text.push_str(word);
        return;
    }
    text.push('\'');
    for letter in word.chars() {
        match letter {
            // There is no way to write it between single quotes, so they are
            // closed for its sake and opened again.
            '\'' => text.push_str("'\\''"),
            _ => text.push(letter),
        }
    }
    text.push('\'');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(u32, &str, &str)> {
        lines(text.as_bytes())
            .map(|line| line.unwrap())
            .map(|line| (line.number, line.key, line.value))
            .collect()
    }

    fn complaint(text: &[u8]) -> (u32, String) {
        let complaint = lines(text).find_map(Result::err).expect("nothing to complain about");
        (complaint.line, complaint.message)
    }

    fn words(text: &str) -> Vec<String> {
        split(text).unwrap()
    }

    #[test]
    fn blanks_around_key_and_value_are_trimmed() {
        assert_eq!(read(" \tcmd \t= \t a  b \t"), [(1, "cmd", "a  b")]);
        // Only blanks are: this is a file name, however odd.
        assert_eq!(read("cwd=/x\u{a0}"), [(1, "cwd", "/x\u{a0}")]);
    }

    #[test]
    fn value_goes_on_after_a_second_equals_sign() {
        assert_eq!(read("env=A=b=c"), [(1, "env", "A=b=c")]);
    }

    #[test]
    fn blank_lines_and_comments_are_counted_but_not_read() {
        let text = "\n# cmd=one\n  \t\n\t # cmd=two\n#\ncmd=three # four";
        assert_eq!(read(text), [(6, "cmd", "three # four")]);
    }

    #[test]
    fn last_line_needs_no_newline_and_makes_no_line_of_its_own() {
        assert_eq!(read("a=1\nb=2"), read("a=1\nb=2\n"));
        assert_eq!(read(""), []);
        assert_eq!(read("\n\n"), []);
    }

    #[test]
    fn one_carriage_return_before_a_newline_is_dropped() {
        assert_eq!(read("a=1\r\n\r\nb=2 \r"), [(1, "a", "1"), (3, "b", "2")]);
    }

    #[test]
    fn carriage_return_within_a_line_is_complained_about() {
        assert_eq!(complaint(b"a=1\r\r\n"), (1, "carriage return at byte 4 of the line".into()));
        assert_eq!(complaint(b"#a\rb=1\n"), (1, "carriage return at byte 3 of the line".into()));
    }

    #[test]
    fn byte_order_mark_is_skipped_at_the_start_only() {
        assert_eq!(read("\u{feff}a=1\n\u{feff}b=2"), [(1, "a", "1"), (2, "\u{feff}b", "2")]);
    }

    #[test]
    fn value_may_be_empty_but_a_key_may_not() {
        assert_eq!(read("a="), [(1, "a", "")]);
        assert_eq!(complaint(b"\n =x"), (2, "no key before the \"=\"".into()));
    }

    #[test]
    fn line_without_equals_sign_is_complained_about() {
        let (line, message) = complaint(b"a=1\nfoo bar\n");
        assert_eq!(line, 2);
        assert_eq!(message, "no \"=\" in \"foo bar\", but a line must be key=value");
    }

    #[test]
    fn bytes_that_are_no_text_are_told_with_their_place_even_in_comments() {
        assert_eq!(complaint(b"a=1\n#\xffx"), (2, "not UTF-8 at byte 2 of the line".into()));
        assert_eq!(complaint(b"a=1\nab\0"), (2, "NUL at byte 3 of the line".into()));
    }

    #[test]
    fn lines_after_a_bad_one_are_read_nevertheless() {
        let text = b"bad\na=1\n\xff\nb=2";
        let numbers: Vec<u32> = lines(text).flatten().map(|line| line.number).collect();
        assert_eq!(numbers, [2, 4]);
    }

    #[test]
    fn line_of_a_key_is_found_even_if_the_line_is_bad() {
        let text = b"\xef\xbb\xbf# cmd=\ncmdx=1\n\t cmd\t=\xff\r\ncmd=2\ncwd";
        assert_eq!(line_of(text, b"cmd"), 3);
        assert_eq!(line_of(text, b"cwd"), 0);
        assert_eq!(line_of(b"\xef\xbb\xbfcmd=1", b"cmd"), 1);
    }

    #[test]
    fn words_are_separated_by_any_number_of_blanks() {
        assert_eq!(words("  a \t b\tc  "), ["a", "b", "c"]);
        assert_eq!(words("").len(), 0);
        assert_eq!(words(" \t ").len(), 0);
    }

    #[test]
    fn quotes_join_and_empty_quotes_are_a_word() {
        assert_eq!(words("a'b c'\"d e\"f"), ["ab cd ef"]);
        assert_eq!(words("'' \"\" a''"), ["", "", "a"]);
        assert_eq!(words("'\"' \"'\""), ["\"", "'"]);
    }

    #[test]
    fn backslash_quotes_what_the_shell_says_it_does() {
        assert_eq!(words(r"a\ b \' \\ \n"), ["a b", "'", "\\", "n"]);
        assert_eq!(words(r"'a\b\'"), [r"a\b\"]);
        assert_eq!(words(r#""\$ \` \" \\ \n \' \ ""#), [r#"$ ` " \ \n \' \ "#]);
        assert_eq!(words("a\\\nb \"c\\\nd\""), ["ab", "cd"]);
    }

    #[test]
    fn nothing_else_of_the_shell_means_anything() {
        let text = "$HOME ${A} `x` *.c ~ a;b | c > d & (e) #f !g {h,i} [j]";
        assert_eq!(words(text).join(" "), text);
    }

    #[test]
    fn open_quote_is_told_with_the_column_where_it_was_opened() {
        let message = |text| split(text).unwrap_err();
        assert_eq!(
            message("ab 'c \" d"),
            "has a single quote in column 4 of the value that is never closed"
        );
        assert_eq!(
            message("\u{e9} \"c ' d"),
            "has a double quote in column 3 of the value that is never closed"
        );
        assert_eq!(
            message(r#""ab\""#),
            "has a double quote in column 1 of the value that is never closed"
        );
        assert_eq!(
            message(r"ab \"),
            "ends with a backslash (column 4 of the value) that quotes nothing"
        );
        assert!(message(r#"x "\"#).contains("double quote in column 3"));
    }

    #[test]
    fn joined_words_are_quoted_only_where_it_is_needed() {
        let list = ["/bin/sh", "-c", "echo it's", "", "a=b", "$x"].map(String::from);
        assert_eq!(join(&list), r"/bin/sh -c 'echo it'\''s' '' a=b '$x'");
    }

    #[test]
    fn shown_words_are_short_and_cannot_move_the_cursor() {
        assert_eq!(show("a\x1b[2J\n\u{a0}\u{202e} b"), r#""a\u{1b}[2J\n\u{a0}\u{202e} b""#);
        assert_eq!(show(&"x".repeat(60)), format!("\"{}\"", "x".repeat(60)));
        assert_eq!(show(&"x".repeat(61)), format!("\"{}...\"", "x".repeat(60)));
    }

    proptest! {
        #[test]
        fn joined_words_are_split_into_the_same_words(
            list in prop::collection::vec(r#"[a-z '"\\$`#*\n\t\r\PC]{0,8}"#, 0..8)
        ) {
            prop_assert_eq!(split(&join(&list)), Ok(list));
        }

        #[test]
        fn splitting_never_panics(text in r#"(\PC|['"\\ \n]){0,40}"#) {
            let _ = split(&text);
        }

        #[test]
        fn every_line_is_numbered_in_order(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let number = |line: Result<Line<'_>, Complaint>| match line {
                Ok(line) => line.number,
                Err(complaint) => complaint.line,
            };
            let numbers: Vec<u32> = lines(&text).map(number).collect();
            prop_assert!(numbers.is_sorted_by(|a, b| a < b));
            let count = text.split(|&byte| byte == b'\n').count();
            prop_assert!(numbers.iter().all(|&n| n >= 1 && n as usize <= count));
        }
    }
}
