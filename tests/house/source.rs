//! Reads Rust source as far as the house rules need it: what is code, what is
//! comment, text or test, and which paths are named. It must not need more of
//! the language than that, for then it would be a compiler.

use std::ops::Range;

/// One file of source.
#[derive(Clone)]
pub struct Source {
    /// From the root of the repository, such as `src/config/mod.rs`.
    pub path: String,
    /// As it is.
    pub text: String,
}

/// A word or sign of code and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// An identifier, `::`, or a single sign.
    pub word: &'a str,
    /// From the beginning of the file, in bytes.
    pub at: usize,
}

/// What of a source is to be blanked besides its comments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Literals {
    /// `"text"` and `'c'` stay.
    Keep,
    /// They become blanks, quotes included.
    Blank,
}

/// The same text with blanks in place of comments (and literals), and every
/// other byte where it was.
fn code(text: &str, literals: Literals) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (length, is_literal) = if rest.starts_with(b"//") {
            (rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with(b"/*") {
            (block_comment(rest), false)
        } else if let Some(length) = literal(bytes, at) {
            (length, true)
        } else {
            at += 1;
            continue;
        };
        if !is_literal || literals == Literals::Blank {
            blank(&mut code[at..at + length]);
        }
        at += length;
    }
    String::from_utf8(code).expect("only whole comments and literals were blanked")
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

fn block_comment(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// How long the literal is that begins at `at`, if one does.
fn literal(bytes: &[u8], at: usize) -> Option<usize> {
    if at > 0 && is_word(bytes[at - 1]) {
        return None;
    }
    let rest = &bytes[at..];
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix.as_bytes()).unwrap_or_default();
        let hashes = after.iter().take_while(|&&byte| byte == b'#').count();
        after.get(hashes) == Some(&b'"') && (hashes == 0 || prefix.ends_with('r'))
            || *prefix != "br" && *prefix != "cr" && after.first() == Some(&b'\'')
    })?;
    let after = &rest[prefix.len()..];
    if after[0] == b'\'' {
        return char_literal(after).map(|length| prefix.len() + length);
    }
    let hashes = after.iter().take_while(|&&byte| byte == b'#').count();
    let mut end = prefix.len() + hashes + 1;
    let close = [b"\"".as_slice(), "#".repeat(hashes).as_bytes()].concat();
    while end < rest.len() && !rest[end..].starts_with(&close) {
        end += if rest[end] == b'\\' && !prefix.ends_with('r') { 2 } else { 1 };
    }
    Some((end + close.len()).min(rest.len()))
}

/// `'x'` or `'\n'`, but not the lifetime `'x`.
fn char_literal(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut letters = text.char_indices().skip(1);
    if letters.next()?.1 == '\\' {
        letters.next()?;
        return letters.find(|(_, letter)| *letter == '\'').map(|(at, _)| at + 1);
    }
    letters.next().filter(|(_, letter)| *letter == '\'').map(|(at, _)| at + 1)
}

/// The words and signs of code without comments and literals.
pub fn tokens(code: &str) -> Vec<Token<'_>> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = if is_word(bytes[at]) {
            bytes[at..].iter().take_while(|&&byte| is_word(byte)).count()
        } else if bytes[at..].starts_with(b"::") {
            2
        } else {
            1
        };
        if !bytes[at].is_ascii_whitespace() {
            tokens.push(Token { word: &code[at..at + length], at });
        }
        at += length;
    }
    tokens
}

/// Where the item that begins at the token `first` ends: after its `;`, or after
/// the brace that closes its body.
fn end_of_item(tokens: &[Token], first: usize) -> usize {
    let mut depth = 0_i32;
    for token in &tokens[first..] {
        match token.word {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return token.at + 1;
                }
            }
            ";" if depth == 0 => return token.at + 1,
            _ => {}
        }
    }
    tokens.last().map_or(0, |token| token.at + 1)
}

/// The items of `code` marked `#[cfg(test)]`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let tokens = tokens(code);
    let words: Vec<&str> = tokens.iter().map(|token| token.word).collect();
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let marks = (0..words.len()).filter(|&at| words[at..].starts_with(&mark));
    marks
        .map(|at| {
            let mut item = at + mark.len();
            // Other attributes may stand between the mark and the item.
            while words[item..].starts_with(&["#", "["]) {
                item += words[item..].iter().position(|word| *word == "]").unwrap_or(0) + 1;
            }
            tokens[at].at..end_of_item(&tokens, item)
        })
        .collect()
}

/// Code without comments and without the items marked `#[cfg(test)]`.
pub fn own_code(text: &str, literals: Literals) -> String {
    let mut bytes = code(text, literals).into_bytes();
    for range in test_items(&code(text, Literals::Blank)) {
        blank(&mut bytes[range]);
    }
    String::from_utf8(bytes).expect("only whole items were blanked")
}

/// How many lines there are outside of the items marked `#[cfg(test)]`.
pub fn own_length(text: &str) -> usize {
    let items = test_items(&code(text, Literals::Blank)).into_iter();
    text.lines().count() - items.map(|range| text[range].lines().count()).sum::<usize>()
}

/// The files which a source declares as modules for tests only.
pub fn test_modules(source: &Source) -> Vec<String> {
    let code = code(&source.text, Literals::Blank);
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let mut modules = Vec::new();
    for range in test_items(&code) {
        let words: Vec<&str> = tokens(&code[range.clone()]).iter().map(|it| it.word).collect();
        let [.., "mod", name, ";"] = words[..] else { continue };
        let text = &source.text[range];
        let given = text.split_once("#[path = \"").and_then(|(_, rest)| rest.split_once('"'));
        let is_root = ["mod.rs", "lib.rs", "main.rs"].contains(&file);
        let path = match given {
            Some((path, _)) => path.to_owned(),
            None if is_root => format!("{name}.rs"),
            None => format!("{}/{name}.rs", file.trim_end_matches(".rs")),
        };
        modules.push(format!("{folder}/{path}"));
    }
    modules
}

/// Every path which code names, such as `std::fs::File`, with the place of its
/// first word; `use a::{b, c::d}` names `a::b` and `a::c::d`.
pub fn paths<'a>(tokens: &[Token<'a>]) -> Vec<(usize, Vec<&'a str>)> {
    let word = |at: usize| tokens.get(at).map_or("", |token: &Token| token.word);
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let before = if index == 0 { "" } else { word(index - 1) };
        let is_start = is_word(token.word.as_bytes()[0])
            && ![".", "::"].contains(&before)
            && (word(index + 1) == "::" || before == "use" || word(index + 1) == "!");
        // `use ::std::fs` begins with the colons.
        let is_global = before == "::" && index >= 2 && word(index - 2) == "use";
        if is_start || is_global {
            let mut branches = Vec::new();
            branch(tokens, index, &mut Vec::new(), &mut branches);
            found.extend(branches.into_iter().map(|path| (token.at, path)));
        }
    }
    found
}

/// Follows a path from the token `at`; answers where it ends.
fn branch<'a>(
    tokens: &[Token<'a>],
    at: usize,
    before: &mut Vec<&'a str>,
    found: &mut Vec<Vec<&'a str>>,
) -> usize {
    let word = |at: usize| tokens.get(at).map_or("", |token: &Token<'a>| token.word);
    let depth = before.len();
    let mut at = at;
    loop {
        before.push(word(at));
        at += 1;
        if word(at) != "::" {
            break;
        }
        at += 1;
        if word(at) == "{" {
            at += 1;
            while !["}", ""].contains(&word(at)) {
                at = branch(tokens, at, before, found);
                while ![",", "}", ""].contains(&word(at)) {
                    at += 1;
                }
                at += usize::from(word(at) == ",");
            }
            before.truncate(depth);
            return at + 1;
        }
    }
    found.push(before.clone());
    before.truncate(depth);
    at
}

/// The functions of code: the name, the place and the number of lines of each.
pub fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let tokens = tokens(code);
    let mut functions = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let name = tokens.get(index + 1).map_or("", |token| token.word);
        // `fn(` is the type of a pointer.
        if token.word == "fn" && name != "(" {
            let end = end_of_item(&tokens, index);
            let lines = code[token.at..end].lines().count();
            functions.push((name.to_owned(), token.at, lines));
        }
    }
    functions
}

/// The number of the line at byte `at`.
pub fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}
