//! `goingctl keys`: the table of keys, for people. Nothing is told here that is
//! not in that table.

use clap::ArgMatches;

use super::screen::{Paint, Style};
use super::{Ending, Session, options, print};
use crate::client::{Trouble, json};
use crate::config::grammar::show;
use crate::config::keys::{Effect, Key, all, find, names};
use crate::config::nearest::nearest;
use crate::config::values::hint;

/// Performs it.
pub fn keys(session: &Session, matches: &ArgMatches) -> Result<Ending, Trouble> {
    let Some(name) = options::value::<String>(matches, "key") else {
        print(&match (options::has(matches, "sample"), session.is_json) {
            (true, _) => sample(),
            (false, true) => json::keys(all()),
            (false, false) => table(session.style),
        })?;
        return Ok(Ending::Done);
    };
    // As one copies it from a file.
    let name = name.strip_suffix('=').unwrap_or(&name);
    let Some(key) = find(name) else {
        let text = hint(format!("no key {}", show(name)), nearest(name, names()));
        // A word of the command line, as a mistyped command is.
        return Err(Trouble::Usage(text));
    };
    let one = std::slice::from_ref(key).iter();
    print(&if session.is_json { json::keys(one) } else { entry(key, session.style) })?;
    Ok(Ending::Done)
}

/// All keys, a line each.
fn table(style: Style) -> String {
    let name_width = all().map(|key| key.name.len()).max().unwrap_or(0) + 2;
    let default_width = all().map(|key| key.about().default.len()).max().unwrap_or(0) + 2;
    let line = |name: &str, default: &str, values: &str| {
        format!("{name:<name_width$}{default:<default_width$}{values}\n")
    };
    let mut text = style.paint(Paint::Faint, line("KEY", "DEFAULT", "VALUE").trim_end());
    text.push('\n');
    for key in all() {
        let repeats = if key.repeats { "  (may be repeated)" } else { "" };
        text.push_str(&line(
            key.name,
            key.about().default,
            &format!("{}{repeats}", key.about().values),
        ));
    }
    text
}

/// All about one key.
fn entry(key: &Key, style: Style) -> String {
    let mut text = format!("{}={}\n", style.paint(Paint::Strong, key.name), key.about().values);
    text.push_str(&format!("  {}\n", key.about().help));
    if key.repeats {
        text.push_str("  It may be repeated.\n");
    }
    if !key.about().default.is_empty() {
        text.push_str(&format!("  Default: {}\n", key.about().default));
    }
    text.push_str(match key.effect {
        Effect::Now => "  A change applies at once.\n",
        Effect::Restart => "  A change restarts the service.\n",
    });
    text
}

/// A service file that has every key in it.
fn sample() -> String {
    let mut text = String::from("# A service file with every key; all but cmd may be left out.\n");
    for key in all() {
        text.push_str(&format!("\n# {}\n", key.about().help));
        if key.about().default != key.about().values {
            text.push_str(&format!("# {}={}\n", key.name, key.about().values));
        }
        match (key.name, key.about().default) {
            ("cmd", _) => text.push_str("cmd=sleep 1000000\n"),
            (_, "") => {}
            (name, default) => text.push_str(&format!("#{name}={default}\n")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Spec, parse};

    #[test]
    fn sample_says_what_a_file_says_that_says_nothing() {
        let bare = parse(b"cmd=sleep 1000000", &Spec::default());
        assert_eq!(parse(sample().as_bytes(), &Spec::default()), bare);
        // With its marks taken off, the defaults are as the table has them.
        let sample = sample();
        let lines = sample.lines().map(|line| {
            let is_default = line.starts_with('#') && !line.starts_with("# ");
            format!("{}\n", if is_default { line.trim_start_matches('#') } else { line })
        });
        assert_eq!(parse(lines.collect::<String>().as_bytes(), &Spec::default()), bare);
    }

    #[test]
    fn every_key_is_in_the_table() {
        let plain = Style { has_color: false, is_terminal: false, has_progress: false };
        for key in all() {
            assert!(table(plain).contains(&format!("\n{} ", key.name)), "{}", key.name);
            assert!(entry(key, plain).contains(key.about().help), "{}", key.name);
            assert!(sample().contains(&format!("{}=", key.name)), "{}", key.name);
        }
    }
}
