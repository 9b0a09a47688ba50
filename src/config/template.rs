//! Texts in which `${NAME}` and `${NAME:-default}` stand for variables. Words of
//! a command are split before anything is put in, so that a value never becomes
//! two words; what the shell would take for `${` only in double quotes is one here
//! only there, so that scripts in single quotes stay whole.
//!
//! Of the dollars right before a brace each two are one: `$${` is a literal `${`.
//! All others are nothing special, so that the `$$` of a shell stays what it is.

use super::grammar::{self, show};

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// The value of a variable.
    Variable {
        /// Its name.
        name: &'a str,
        /// What to take when it is unset or empty.
        default: Option<&'a str>,
    },
}

/// Takes a text apart, or tells what is wrong, as the rest of a sentence that
/// begins with the key.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let plain = before.trim_end_matches('$').len();
        let dollars = before.len().saturating_sub(plain).saturating_add(1);
        let end = plain.saturating_add(dollars / 2);
        pieces.push(Piece::Text(before.get(..end).unwrap_or(before)));
        if dollars % 2 == 0 {
            pieces.push(Piece::Text("{"));
            rest = after;
            continue;
        }
        let Some((inner, after)) = after.split_once('}') else {
            return Err("has a ${ that is never closed; blanks in it need double quotes".into());
        };
        pieces.push(variable(inner)?);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn variable(inner: &str) -> Result<Piece<'_>, String> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if is_name(name) {
        return Ok(Piece::Variable { name, default });
    }
    let inner = show(&format!("${{{inner}}}"));
    Err(format!(
        "has {inner}, but must have ${{NAME}} or ${{NAME:-default}}; $${{ is a literal ${{"
    ))
}

/// Whether a variable can have this name in every shell.
pub fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(is_letter)
        && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

/// Refuses what `pieces` would, with the text in front of the complaint's rest.
pub fn check(text: &str) -> Result<(), String> {
    pieces(text).map(|_| ())
}

/// Puts the values in. Fails with the name of a variable that is not set and has
/// no default.
pub fn expand<'a>(
    text: &'a str,
    get: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Vec<u8>, &'a str> {
    let mut bytes = Vec::with_capacity(text.len());
    // What has no pieces was complained about when it was read.
    for piece in pieces(text).unwrap_or_else(|_| vec![Piece::Text(text)]) {
        match piece {
            Piece::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Piece::Variable { name, default } => {
                let value = get(name);
                let is_missing = value.is_none_or(<[u8]>::is_empty);
                match (value, default) {
                    (_, Some(default)) if is_missing => bytes.extend_from_slice(default.as_bytes()),
                    (Some(value), _) => bytes.extend_from_slice(value),
                    (None, _) => return Err(name),
                }
            }
        }
    }
    Ok(bytes)
}

/// Splits as the shell does; what is quoted so that no shell would see a
/// variable in it gets the dollars which make it literal here.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    // Dollars at the end of the word so far, and how many of them, last ones
    // first, a shell would look at.
    let (mut dollars, mut live) = (0_usize, 0_usize);
    grammar::scan(text, |word, letter, is_literal| {
        if word.is_empty() {
            (dollars, live) = (0, 0);
        }
        if letter == '$' {
            dollars = dollars.saturating_add(1);
            live = if is_literal { 0 } else { live.saturating_add(1) };
        } else {
            if letter == '{' {
                let is_plain = is_literal || live == 0;
                let more = if is_plain { dollars } else { dollars.saturating_sub(live) };
                word.extend(std::iter::repeat_n('$', more));
            }
            (dollars, live) = (0, 0);
        }
        word.push(letter);
    })
}

/// Writes `words` so that `split` reads the same words again.
pub fn join(words: &[String]) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        match literal(word) {
            Some(literal) => grammar::quote_into(&mut text, &literal),
            None => double_quote_into(&mut text, word),
        }
    }
    text
}

/// The text itself, if there is no variable in it.
fn literal(word: &str) -> Option<String> {
    let pieces = pieces(word).ok()?;
    let texts = pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) => Some(text),
        Piece::Variable { .. } => None,
    });
    texts.collect()
}

fn double_quote_into(text: &mut String, word: &str) {
    text.push('"');
    for letter in word.chars() {
        if matches!(letter, '"' | '\\' | '`') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        pieces(text)?;
        let get = |name: &str| match name {
            "A" => Some(&b"a b"[..]),
            "EMPTY" => Some(&b""[..]),
            "QUOTE" => Some(&b"' ${A}"[..]),
            _ => None,
        };
        expand(text, get).map(|it| String::from_utf8(it).unwrap()).map_err(str::to_owned)
    }

    #[test]
    fn variables_become_their_values_or_their_defaults() {
        for (text, expected) in [
            ("", ""),
            ("x", "x"),
            ("${A}", "a b"),
            ("x${A}y${A}z", "xa bya bz"),
            ("${EMPTY}", ""),
            ("${EMPTY:-d}", "d"),
            ("${NONE:-}", ""),
            ("${NONE:-d:-e}", "d:-e"),
            ("${A:-d}", "a b"),
            ("${QUOTE}", "' ${A}"),
            ("$A $ $$ $(A) {A} }{ $", "$A $ $$ $(A) {A} }{ $"),
            ("$${A}", "${A}"),
            ("$$${A}", "$a b"),
            ("$$$${A}", "$${A}"),
            ("x$$ ${A}", "x$$ a b"),
            ("$${", "${"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(expanded("${A} ${NONE}"), Err("NONE".into()));
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for text in ["${", "x${A", "${A:-d", "$$${"] {
            assert!(expanded(text).unwrap_err().contains("never closed"), "{text}");
        }
        for text in ["${}", "${1}", "${a-b}", "${#A}", "${A%x}", "${A:+x}", "${ A}", "${:-x}"] {
            assert!(expanded(text).unwrap_err().contains("must have ${NAME}"), "{text}");
        }
    }

    #[test]
    fn quotes_that_keep_a_shell_from_expanding_do_so_here() {
        for (text, expected) in [
            ("${A}", "a b"),
            ("\"${A}\"", "a b"),
            ("\"${A:-x y}\"", "a b"),
            ("'${A}'", "${A}"),
            (r"\${A}", "${A}"),
            (r"$\{A}", "${A}"),
            (r#""\${A}""#, "${A}"),
            ("$'{'A}", "${A}"),
            ("'$'{A}", "${A}"),
            ("'$'${A}", "$a b"),
            (r"\$${A}", "$a b"),
            ("'$$'${A}", "$$a b"),
            ("'$${A}'", "$${A}"),
            ("$${A}", "${A}"),
            ("'echo $$ ${x:-y}'", "echo $$ ${x:-y}"),
        ] {
            let words = split(text).unwrap();
            assert_eq!(words.len(), 1, "{text}");
            assert_eq!(expanded(&words[0]).as_deref(), Ok(expected), "{text}");
            assert_eq!(split(&join(&words)), Ok(words), "{text}");
        }
        assert_eq!(join(&split("a${B} 'c ${D}' e").unwrap()), "\"a${B}\" 'c ${D}' e");
    }

    proptest! {
        #[test]
        fn joined_words_are_split_into_the_same_words(
            list in prop::collection::vec(r#"[a-z '"\\$`#{}\PC]{0,8}"#, 0..8)
        ) {
            prop_assert_eq!(split(&join(&list)), Ok(list));
        }

        #[test]
        fn what_is_in_single_quotes_stays_as_it_is(word in r#"[a-z "\\$`{}:-]{1,12}"#) {
            let words = split(&format!("'{word}'")).unwrap();
            prop_assert_eq!(expanded(&words[0]), Ok(word));
        }

        #[test]
        fn without_quotes_words_are_those_of_the_shell(text in r#"([a-z $]|['"\\\n]){0,20}"#) {
            prop_assert_eq!(split(&text), grammar::split(&text));
        }
    }
}
