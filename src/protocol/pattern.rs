//! Patterns of service names: `*` is any letters, `?` is one, `[a-z]` one of
//! these, `[!a-z]` one of the others. Takes time in proportion to the two
//! lengths, whatever a stranger asks for.

/// Whether `pattern` can match more than one name.
pub fn is_pattern(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// Whether `name`, the whole of it, is like `pattern`.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.as_bytes(), name.as_bytes());
    // After the last star, and what was left of the name when it took nothing.
    // An earlier star need not be tried again: what it would leave to the last
    // one is less.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            star = Some((rest, name));
            pattern = rest;
            continue;
        }
        if let ([], []) = (pattern, name) {
            return true;
        }
        if let Some(rests) = one(pattern, name) {
            (pattern, name) = rests;
            continue;
        }
        let Some((after, [_, shorter @ ..])) = star else { return false };
        star = Some((after, shorter));
        (pattern, name) = (after, shorter);
    }
}

/// Takes one letter off both, if they agree on it.
fn one<'a>(pattern: &'a [u8], name: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (&letter, name) = name.split_first()?;
    let (&sign, rest) = pattern.split_first()?;
    let (is_match, rest) = match sign {
        b'?' => (true, rest),
        // One that is never closed is a letter like any other.
        b'[' => set(rest, letter).unwrap_or((letter == b'[', rest)),
        _ => (sign == letter, rest),
    };
    is_match.then_some((rest, name))
}

/// Whether `letter` is in the set whose `[` was taken off `pattern`, and what
/// comes after its `]`.
fn set(pattern: &[u8], letter: u8) -> Option<(bool, &[u8])> {
    let (is_negated, mut rest) = match pattern {
        [b'!', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut is_in = false;
    let mut is_first = true;
    loop {
        rest = match rest {
            // The first one is a member, for a set cannot be empty.
            [b']', rest @ ..] if !is_first => return Some((is_in != is_negated, rest)),
            [low, b'-', high, rest @ ..] if *high != b']' => {
                is_in |= (*low..=*high).contains(&letter);
                rest
            }
            [member, rest @ ..] => {
                is_in |= *member == letter;
                rest
            }
            [] => return None,
        };
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_match_themselves_only() {
        assert!(matches("web", "web"));
        for (pattern, name) in [("web", "we"), ("we", "web"), ("web", "Web"), ("", "w"), ("w", "")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert!(matches("", ""));
    }

    #[test]
    fn stars_take_any_letters() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "web"),
            ("w*", "w"),
            ("w*b", "web"),
            ("*b", "web-b"),
            ("*a*b*", "xaxbx"),
            ("a**b", "ab"),
            ("*-*-*", "a-b-c-d"),
            ("*ab", "aab"),
            ("*abc*d", "ababcabcd"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("w*", "xw"), ("*b", "bc"), ("a*b*c", "acb"), ("*a", "")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn question_marks_take_one_letter() {
        assert!(matches("w?b", "web"));
        assert!(matches("?*", "a"));
        assert!(!matches("w?b", "wb"));
        assert!(!matches("?", ""));
        assert!(!matches("?", "ab"));
    }

    #[test]
    fn sets_take_one_of_their_letters() {
        for (pattern, name) in [
            ("web[12]", "web1"),
            ("web[0-9]", "web7"),
            ("web[!0-9]", "webx"),
            ("[a-cx-z]", "y"),
            ("[]]", "]"),
            ("[!]]", "x"),
            ("[a-]", "-"),
            ("[-a]", "-"),
            ("[!-]", "a"),
            ("[a!]", "!"),
            ("x[", "x["),
            ("x[a", "x[a"),
            ("[!", "[!"),
            ("*[0-9]", "web-1-2"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("web[12]", "web3"),
            ("web[12]", "web"),
            ("web[!0-9]", "web7"),
            ("[z-a]", "b"),
            ("[ab]", "ab"),
            ("[!]]", "]"),
            ("x[a", "xa"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "a*".repeat(1000) + "b";
        assert!(!matches(&pattern, &"a".repeat(2000)));
    }

    #[test]
    fn patterns_are_told_from_names() {
        assert!(["*", "a?", "web[12]"].into_iter().all(is_pattern));
        assert!(!["web", "@tag", "a.b-c:d"].into_iter().any(is_pattern));
    }

    /// The definition, without any cleverness.
    fn is_like(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', rest @ ..] => (0..=name.len()).any(|at| is_like(rest, &name[at..])),
            [b'?', rest @ ..] => !name.is_empty() && is_like(rest, &name[1..]),
            [letter, rest @ ..] => name.first() == Some(letter) && is_like(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn stars_and_marks_agree_with_their_definition(
            pattern in "[ab*?]{0,8}", name in "[ab]{0,8}"
        ) {
            prop_assert_eq!(
                matches(&pattern, &name),
                is_like(pattern.as_bytes(), name.as_bytes())
            );
        }

        #[test]
        fn nothing_makes_it_panic(pattern in r"[a\[\]!*?-]{0,12}|\PC{0,12}", name in r"\PC{0,12}") {
            let _ = matches(&pattern, &name);
        }
    }
}
