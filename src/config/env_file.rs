//! Files of variables, as `env-file` names them: lines `NAME=VALUE`, such as
//! shells, systemd and docker read alike. Values are taken as they stand, but for
//! quotes around the whole of one; nothing is put in for a `$`.

use super::grammar::{show, trim};
use super::keys::VALUE_MAX;
use super::parse::Complaint;
use super::template::is_name;

/// In bytes. As much as a kernel takes for all variables of a program, in
/// the worst case (execve(2)).
pub const FILE_MAX: usize = 64 * 1024;

/// Takes the variables of a file apart, in the order of its lines; or tells the
/// first thing that is wrong. No value is ever repeated in a complaint, for it may
/// be a secret.
pub fn parse(text: &[u8]) -> Result<Vec<(String, String)>, Complaint> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let mut variables = Vec::new();
    for (raw, number) in text.split(|&byte| byte == b'\n').zip(1_u32..) {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        match line(raw) {
            Ok(variable) => variables.extend(variable),
            Err(message) => return Err(Complaint { line: number, message }),
        }
    }
    Ok(variables)
}

fn line(raw: &[u8]) -> Result<Option<(String, String)>, String> {
    let text = std::str::from_utf8(raw).map_err(|_| "not UTF-8".to_owned())?;
    if text.contains('\0') {
        return Err("NUL in the line".into());
    }
    let text = trim(text);
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    // So that a shell can read the same file.
    let text = text.strip_prefix("export ").map_or(text, trim);
    let Some((name, value)) = text.split_once('=') else {
        return Err("no \"=\", but a line must be NAME=VALUE".into());
    };
    if !is_name(name) {
        let must = "a name must be letters, digits and _, and not begin with a digit";
        return Err(format!("sets {}, but {must}", show(name)));
    }
    if value.len() > VALUE_MAX {
        return Err(format!("the value of {name} is too long (max: {VALUE_MAX})"));
    }
    let value = unquote(value).ok_or_else(|| {
        format!("the value of {name} begins with a quote, but does not end with it")
    })?;
    Ok(Some((name.to_owned(), value)))
}

/// Takes quotes off; `None` if they are not around the whole.
fn unquote(value: &str) -> Option<String> {
    if let Some(inner) = value.strip_prefix('\'') {
        return inner.strip_suffix('\'').filter(|it| !it.contains('\'')).map(str::to_owned);
    }
    let Some(inner) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let mut text = String::new();
    let mut letters = inner.chars();
    loop {
        match letters.next()? {
            '"' => break,
            '\\' => match letters.next()? {
                quoted @ ('"' | '\\' | '$' | '`') => text.push(quoted),
                other => text.extend(['\\', other]),
            },
            letter => text.push(letter),
        }
    }
    letters.next().is_none().then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes()).unwrap()
    }

    fn wrong(text: &[u8]) -> String {
        let Complaint { line, message } = parse(text).unwrap_err();
        format!("{line}: {message}")
    }

    #[test]
    fn lines_are_variables() {
        let text = "\u{feff}# A\nA=1\r\n\n  B = \n export C=a  'b' # c \nD=\nA=${A}\n_x=\\n=";
        let text = text.replace("B = ", "B= ");
        let expected =
            [("A", "1"), ("B", ""), ("C", "a  'b' # c"), ("D", ""), ("A", "${A}"), ("_x", "\\n=")];
        assert_eq!(read(&text), expected.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(read(""), []);
    }

    #[test]
    fn quotes_around_the_whole_are_taken_off() {
        for (value, expected) in [
            ("''", ""),
            ("\"\"", ""),
            ("' a\\ \" '", " a\\ \" "),
            (r#"" a \" \\ \$ \` \n ' ""#, " a \" \\ $ ` \\n ' "),
        ] {
            assert_eq!(read(&format!("A={value}")), [("A".into(), expected.into())]);
        }
        for value in ["'", "\"", "'a", "'a'b'", "'a' b", "\"a\"b", "\"a\\\"", "\"a\\"] {
            let text = wrong(format!("\nA={value}").as_bytes());
            let expected = "2: the value of A begins with a quote, but does not end with it";
            assert_eq!(text, expected, "{value}");
        }
    }

    #[test]
    fn complaints_name_the_line_and_no_value() {
        assert_eq!(wrong(b"A=1\nsecret"), "2: no \"=\", but a line must be NAME=VALUE");
        assert!(wrong(b"1A=secret").starts_with("1: sets \"1A\", but a name must be letters"));
        assert!(wrong(b"A =secret").starts_with("1: sets \"A \", but"));
        assert_eq!(wrong(b"A=\xff"), "1: not UTF-8");
        assert_eq!(wrong(b"#\0"), "1: NUL in the line");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
        }

        #[test]
        fn any_value_can_be_written_in_single_quotes(value in r#"[^'\n\r\x00]{0,20}"#) {
            prop_assert_eq!(read(&format!("A='{value}'")), [("A".to_owned(), value)]);
        }
    }
}
