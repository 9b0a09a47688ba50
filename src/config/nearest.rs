//! The guess what a mistyped word was meant to be. It must never take long: the
//! word may be a stranger's.

use std::cmp::Reverse;

/// The candidate that `word` was most likely meant to be, if there is one.
pub fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    // Longer words are no slips of the finger, and take long to compare.
    const LONGEST: usize = 32;
    if word.len() > LONGEST {
        return None;
    }
    // Capitals and underscores do not count as slips, being a habit.
    let habit = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    let word: Vec<u8> = word.bytes().map(habit).collect();
    let folded = |candidate: &str| candidate.bytes().map(habit).collect::<Vec<u8>>();
    let slips_max = match word.len() {
        0..3 => 0,
        3..6 => 1,
        _ => 2,
    };
    for slips in 0..=slips_max {
        let mut close = candidates.clone();
        if let Some(found) = close.find(|known| is_within(&word, &folded(known), slips)) {
            return Some(found);
        }
    }
    // `desc` and `environment`: one is the beginning of the other.
    let is_start = |known: &str| {
        let known = folded(known);
        known.len().min(word.len()) >= 3 && (known.starts_with(&word) || word.starts_with(&known))
    };
    let likeness = |known: &&str| (known.len().min(word.len()), Reverse(known.len()));
    candidates.filter(|known| is_start(known)).max_by_key(likeness)
}

/// Whether at most `slips` letters too many, too few, wrong or swapped lie
/// between `a` and `b`. Branches four ways a slip, so there must be few.
fn is_within(a: &[u8], b: &[u8], slips: u8) -> bool {
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(same..).unwrap_or_default(), b.get(same..).unwrap_or_default());
    if a.is_empty() && b.is_empty() {
        return true;
    }
    let Some(slips) = slips.checked_sub(1) else {
        return false;
    };
    let (a_rest, b_rest) = (a.get(1..), b.get(1..));
    let is_swapped = match (a, b) {
        ([a1, a2, a_rest @ ..], [b1, b2, b_rest @ ..]) if (a1, a2) == (b2, b1) => {
            is_within(a_rest, b_rest, slips)
        }
        _ => false,
    };
    is_swapped
        || a_rest.is_some_and(|a_rest| is_within(a_rest, b, slips))
        || b_rest.is_some_and(|b_rest| is_within(a, b_rest, slips))
        || a_rest.zip(b_rest).is_some_and(|(a_rest, b_rest)| is_within(a_rest, b_rest, slips))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::keys::names;
    use super::*;

    #[test]
    fn mistyped_keys_are_recognized() {
        for (word, meant) in [
            ("cmmd", "cmd"),
            ("cdm", "cmd"),
            ("CMD", "cmd"),
            ("cm", ""),
            ("min_uptime", "min-uptime"),
            ("minuptime", "min-uptime"),
            ("backof-max", "backoff-max"),
            ("bakcof", "backoff"),
            ("envv", "env"),
            ("environment", "env"),
            ("desc", "description"),
            ("back", "backoff"),
            ("backoff-maximum", "backoff-max"),
            ("grops", "groups"),
            ("Std_Err", "stderr"),
            ("username", "user"),
            ("x", ""),
            ("", ""),
            ("banana", ""),
            ("log-sise", "log-size"),
            ("min-uptimemin-uptimemin-uptimemin-uptime", ""),
        ] {
            assert_eq!(nearest(word, names()).unwrap_or(""), meant, "{word}");
        }
    }

    #[test]
    fn fewest_slips_win() {
        assert_eq!(nearest("group", ["groups", "group"].into_iter()), Some("group"));
        assert_eq!(nearest("abcdef", ["abcxyf", "abcdxf"].into_iter()), Some("abcdxf"));
    }

    proptest! {
        #[test]
        fn each_slip_is_counted_once(
            word in "[a-c]{1,8}", at in 0..8_usize, kind in 0..4, letter in "[a-c]"
        ) {
            let mut slipped: Vec<u8> = word.clone().into();
            let at = at % slipped.len();
            match kind {
                0 => slipped.insert(at, letter.as_bytes()[0]),
                1 => drop(slipped.remove(at)),
                2 => slipped[at] = letter.as_bytes()[0],
                _ => slipped.swap(at, at.saturating_sub(1)),
            }
            prop_assert!(is_within(word.as_bytes(), &slipped, 1));
            prop_assert!(is_within(&slipped, word.as_bytes(), 1));
            prop_assert_eq!(is_within(word.as_bytes(), &slipped, 0), word.as_bytes() == slipped);
        }

        #[test]
        fn no_word_makes_a_hint_panic(word in r"\PC{0,40}|[a-z_-]{0,40}") {
            let _ = nearest(&word, names());
        }
    }
}
