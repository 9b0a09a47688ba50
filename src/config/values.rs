//! The values that are more than a word or less than a number: choices, names,
//! paths, lists, stop sequences. Readers fill a field or answer what is wrong,
//! as the rest of a sentence that begins with the key; writers give back the
//! one spelling in which equal values are equal.

use std::time::Duration;

use super::grammar::{blank_separated, show};
use super::nearest::nearest;
use super::signals::{nearest_signal, read_signal};
use super::spec::{Kind, Restart, Signal, StopStep, Success, Whom};
use super::template::{self, is_name};
use super::words::{Must, read_count, read_duration, show_duration};

/// The words of a choice and what they mean.
pub type Choices<T> = [(&'static str, T)];

/// `restart=`
pub const RESTARTS: &Choices<Restart> =
    &[("always", Restart::Always), ("on-failure", Restart::OnFailure), ("never", Restart::Never)];
/// `kill=`
pub const WHOMS: &Choices<Whom> =
    &[("group", Whom::Group), ("process", Whom::Process), ("all", Whom::All)];
/// `type=`
pub const KINDS: &Choices<Kind> =
    &[("service", Kind::Service), ("oneshot", Kind::Oneshot), ("forking", Kind::Forking)];

/// Sends after this long what comes next, when a step does not say how long.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// More steps than that nobody waits for.
const STOP_MAX: usize = 16;

/// PATH_MAX of limits.h, less its NUL: no system call takes a longer one.
const PATH_MAX: usize = 4095;

/// What is said of a value which is not what it must be.
pub fn wrong(value: &str, must: &str) -> String {
    format!("is {}, but must be {must}", show(value))
}

/// Puts what was read into `place`.
pub fn store<T>(
    place: &mut T,
    value: &str,
    read: fn(&str) -> Result<T, Must>,
) -> Result<(), String> {
    *place = read(value).map_err(|must| wrong(value, must))?;
    Ok(())
}

/// The meaning of one of the words of a choice.
pub fn choose<T: Copy>(place: &mut T, value: &str, choices: &Choices<T>) -> Result<(), String> {
    match choices.iter().find(|(word, _)| *word == value) {
        Some((_, meaning)) => {
            *place = *meaning;
            Ok(())
        }
        None => Err(not_one_of(value, choices.iter().map(|(word, _)| *word))),
    }
}

/// The word for one of the meanings of a choice.
pub fn chosen<T: PartialEq>(meaning: &T, choices: &Choices<T>) -> String {
    choices.iter().find(|(_, known)| known == meaning).map_or("", |(word, _)| *word).into()
}

/// What is said of a word which is none of those there are.
pub fn not_one_of(value: &str, words: impl Iterator<Item = &'static str> + Clone) -> String {
    let mut message = wrong(value, "one of ");
    for (index, word) in words.clone().enumerate() {
        message.push_str(if index > 0 { ", " } else { "" });
        message.push_str(word);
    }
    hint(message, nearest(value, words))
}

/// Adds the question that saves a look into the manual.
pub fn hint(mut message: String, meant: Option<&str>) -> String {
    if let Some(meant) = meant {
        message.push_str("; did you mean ");
        message.push_str(&show(meant));
        message.push('?');
    }
    message
}

/// How many strikes are enough.
pub fn read_strikes(word: &str) -> Result<u32, Must> {
    read_count(word).ok_or("a number of strikes up to 4294967295, or 0 for never")
}

/// A duration in which something can happen.
pub fn read_backoff(word: &str) -> Result<Duration, Must> {
    // Without any wait a service that cannot start would keep the machine busy.
    read_duration(word)
        .and_then(|wait| if wait.is_zero() { Err("longer than 0s") } else { Ok(wait) })
}

/// The words of a command.
pub fn set_command(place: &mut Vec<String>, value: &str) -> Result<(), String> {
    let words = template::split(value)?;
    words.iter().try_for_each(|word| template::check(word))?;
    if words.first().is_none_or(String::is_empty) {
        return Err("has no command in it".into());
    }
    *place = words;
    Ok(())
}

/// An absolute path.
pub fn read_path(value: &str) -> Result<String, Must> {
    if !value.starts_with('/') || value.contains('\0') {
        return Err("an absolute path");
    }
    if value.len() > PATH_MAX {
        return Err("a path of at most 4095 bytes");
    }
    Ok(value.into())
}

/// The name or number of a user or group.
pub fn read_account(value: &str) -> Result<String, String> {
    // With a sign it would be a number to some who read it, and not to others.
    let is_odd = value.starts_with(['+', '-']) || value.contains([':', ',']);
    if is_odd || value.contains(char::is_whitespace) {
        return Err(wrong(value, "a single name or number"));
    }
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    // The largest one means `leave it as it is` to setresuid(2): the service
    // would quietly stay what going is.
    if is_number && read_count(value).is_none_or(|number| number == u32::MAX) {
        return Err(wrong(value, "a name, or a number below 4294967295"));
    }
    Ok(value.into())
}

/// Adds the tags of one line, which are made like names of services.
pub fn add_tags(tags: &mut Vec<String>, value: &str) -> Result<(), String> {
    for tag in blank_separated(value) {
        let is_known = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if !tag.chars().all(is_known) {
            return Err(wrong(tag, "letters, digits, or . _ -"));
        }
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    Ok(())
}

/// Adds the users and @groups of one line.
pub fn add_controllers(control: &mut Vec<String>, value: &str) -> Result<(), String> {
    for word in blank_separated(value) {
        let account = read_account(word.strip_prefix('@').unwrap_or(word))?;
        control.push(if word.starts_with('@') { format!("@{account}") } else { account });
    }
    Ok(())
}

/// Supplementary groups, separated by blanks; `none` is no group at all.
pub fn read_groups(value: &str) -> Result<Vec<String>, String> {
    if value == "none" {
        return Ok(Vec::new());
    }
    if value.contains(',') {
        return Err(wrong(value, "names or numbers separated by blanks"));
    }
    blank_separated(value).map(read_account).collect()
}

/// Writes what `read_groups` reads; nothing for the user's own groups.
pub fn show_groups(groups: Option<&[String]>) -> String {
    match groups {
        None => String::new(),
        Some([]) => "none".into(),
        Some(groups) => groups.join(" "),
    }
}

/// One variable more.
pub fn add_variable(env: &mut Vec<(String, String)>, value: &str) -> Result<(), String> {
    let Some((name, text)) = value.split_once('=') else {
        return Err(wrong(value, "NAME=VALUE"));
    };
    if !is_name(name) {
        return Err(format!(
            "sets {}, but a name must be letters, digits and _, and not begin with a digit",
            show(name)
        ));
    }
    template::check(text)?;
    env.push((name.into(), text.into()));
    Ok(())
}

/// Writes one `NAME=VALUE` a line.
pub fn show_env(env: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in env {
        text.push_str(if text.is_empty() { "" } else { "\n" });
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text
}

/// One line for people, free of what would move their cursor.
pub fn read_description(value: &str) -> Result<String, String> {
    if value.contains(char::is_control) {
        return Err(wrong(value, "free of control characters"));
    }
    Ok(value.into())
}

/// More ends that are no failure: exit statuses and names of signals.
pub fn add_success(place: &mut Box<[Success]>, value: &str) -> Result<(), String> {
    let mut list = place.to_vec();
    for word in blank_separated(value) {
        let end = read_end(word)?;
        if !list.contains(&end) {
            list.push(end);
        }
    }
    *place = list.into();
    Ok(())
}

fn read_end(word: &str) -> Result<Success, String> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        let code = read_count(word).and_then(|count| u8::try_from(count).ok());
        return code.map(Success::Code).ok_or_else(|| has(word, "an exit status is 0 to 255"));
    }
    read_signal(word)
        .map(Success::Signal)
        .ok_or_else(|| hint(has(word, "neither an exit status nor a signal"), nearest_signal(word)))
}

fn has(word: &str, what: &str) -> String {
    format!("has {} in it: {what}", show(word))
}

/// Writes `0 2 TERM`.
pub fn show_success(list: &[Success]) -> String {
    let words = list.iter().map(|end| match end {
        Success::Code(code) => code.to_string(),
        Success::Signal(signal) => signal.word(),
    });
    words.collect::<Vec<String>>().join(" ")
}

/// Signals, and after each how long to wait: `TERM 10s KILL`.
pub fn read_stop(value: &str) -> Result<Box<[StopStep]>, String> {
    let mut steps = Vec::new();
    let mut words = blank_separated(value).peekable();
    while let Some(word) = words.next() {
        let Some(signal) = read_signal(word) else {
            return Err(hint(has(word, "it is not a signal"), nearest_signal(word)));
        };
        if signal == Signal::KILL {
            return match words.next() {
                None => Ok(steps.into()),
                Some(_) => Err("goes on after KILL, but nothing outlives it".into()),
            };
        }
        // What begins with a digit after a signal is how long to wait, although
        // `stop=15 9` could be two signals: nobody counts signals that way.
        let wait = words.next_if(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
        let wait = match wait {
            Some(word) => read_duration(word).map_err(|must| {
                format!("has {} after {signal}, but it must be {must}", show(word))
            })?,
            None => STOP_WAIT,
        };
        if steps.len() == STOP_MAX {
            return Err(format!("has more than {STOP_MAX} signals"));
        }
        steps.push(StopStep { signal, wait });
    }
    Ok(steps.into())
}

/// Writes what `read_stop` reads, with everything it leaves to be understood.
pub fn show_stop(steps: &[StopStep]) -> String {
    let mut text = String::new();
    for step in steps {
        text.push_str(&step.signal.word());
        text.push(' ');
        text.push_str(&show_duration(step.wait));
        text.push(' ');
    }
    text.push_str("KILL");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(signal: u8, millis: u64) -> StopStep {
        StopStep { signal: Signal(signal), wait: Duration::from_millis(millis) }
    }

    fn stop(value: &str) -> Vec<StopStep> {
        read_stop(value).unwrap().into_vec()
    }

    fn success(values: &[&str]) -> Result<Box<[Success]>, String> {
        let mut list = Box::default();
        for value in values {
            add_success(&mut list, value)?;
        }
        Ok(list)
    }

    #[test]
    fn choices_are_exact_words() {
        let mut restart = Restart::Always;
        choose(&mut restart, "on-failure", RESTARTS).unwrap();
        assert_eq!(restart, Restart::OnFailure);
        assert_eq!(
            choose(&mut restart, "foo", RESTARTS).unwrap_err(),
            "is \"foo\", but must be one of always, on-failure, never"
        );
        assert_eq!(
            choose(&mut restart, "alway", RESTARTS).unwrap_err(),
            "is \"alway\", but must be one of always, on-failure, never; did you mean \"always\"?"
        );
        assert_eq!(restart, Restart::OnFailure, "a refused value must change nothing");
    }

    #[test]
    fn stop_sequence_waits_ten_seconds_where_it_does_not_say() {
        assert_eq!(stop("TERM 10s KILL"), [step(15, 10_000)]);
        assert_eq!(stop("TERM"), [step(15, 10_000)]);
        assert_eq!(stop("INT 5 TERM KILL"), [step(2, 5000), step(15, 10_000)]);
        assert_eq!(stop("QUIT\t1m30s  SIGRTMIN+3 0"), [step(3, 90_000), step(37, 0)]);
        assert_eq!(stop("15 9"), [step(15, 9000)]);
        assert_eq!(stop("KILL"), []);
        assert_eq!(stop("9"), []);
    }

    #[test]
    fn stop_sequence_ends_with_its_kill() {
        for value in ["KILL TERM", "KILL 10s", "TERM KILL 5s", "KILL KILL", "9 9"] {
            assert_eq!(
                read_stop(value).unwrap_err(),
                "goes on after KILL, but nothing outlives it",
                "{value}"
            );
        }
    }

    #[test]
    fn stop_sequence_has_at_most_sixteen_steps() {
        assert_eq!(stop(&"TERM ".repeat(16)).len(), 16);
        assert_eq!(stop(&format!("{}KILL", "TERM 1s ".repeat(16))).len(), 16);
        assert_eq!(read_stop(&"TERM ".repeat(17)).unwrap_err(), "has more than 16 signals");
    }

    #[test]
    fn bad_word_in_a_stop_sequence_is_named() {
        assert_eq!(
            read_stop("TREM 10s").unwrap_err(),
            "has \"TREM\" in it: it is not a signal; did you mean \"TERM\"?"
        );
        assert_eq!(read_stop("10s").unwrap_err(), "has \"10s\" in it: it is not a signal");
        assert_eq!(read_stop("TERM 1s 2s").unwrap_err(), "has \"2s\" in it: it is not a signal");
        assert_eq!(
            read_stop("TERM 1x").unwrap_err(),
            "has \"1x\" after SIGTERM, but it must be a duration such as 500ms, 5s or 1m30s"
        );
        assert!(read_stop("TERM,INT").is_err());
    }

    #[test]
    fn stop_sequences_are_written_in_full() {
        for (value, full) in
            [("TERM", "TERM 10s KILL"), ("2 90 15", "INT 1m30s TERM 10s KILL"), ("KILL", "KILL")]
        {
            assert_eq!(show_stop(&stop(value)), full);
            assert_eq!(stop(full), stop(value));
        }
    }

    #[test]
    fn success_lists_statuses_and_signals_once_each() {
        let list = success(&["0 2  TERM", "2 SIGTERM 255", "SIG32"]).unwrap();
        let expected = [
            Success::Code(0),
            Success::Code(2),
            Success::Signal(Signal::TERM),
            Success::Code(255),
            Success::Signal(Signal(32)),
        ];
        assert_eq!(*list, expected);
        assert_eq!(show_success(&list), "0 2 TERM 255 SIG32");
        assert_eq!(success(&[&show_success(&list)]).unwrap(), list);
    }

    #[test]
    fn bad_word_in_a_success_list_is_named() {
        assert_eq!(
            success(&["0 256"]).unwrap_err(),
            "has \"256\" in it: an exit status is 0 to 255"
        );
        assert_eq!(
            success(&["SIGTREM"]).unwrap_err(),
            "has \"SIGTREM\" in it: neither an exit status nor a signal; did you mean \"TERM\"?"
        );
        assert!(success(&["-1"]).is_err());
        assert!(success(&["0,2"]).is_err());
    }

    #[test]
    fn paths_are_absolute_and_fit_the_kernel() {
        assert_eq!(read_path("/a b"), Ok("/a b".into()));
        for value in ["a", "./a", "~/a", "", "/a\0"] {
            assert_eq!(read_path(value), Err("an absolute path"), "{value}");
        }
        assert!(read_path(&format!("/{}", "x".repeat(4094))).is_ok());
        assert!(read_path(&format!("/{}", "x".repeat(4095))).is_err());
    }

    #[test]
    fn accounts_are_one_name_or_number() {
        for value in ["www-data", "0", "65534", "4294967294", "1and1", "a.b$"] {
            assert_eq!(read_account(value), Ok(value.into()));
        }
        for value in ["a:b", ":", "a b", "a\tb", "a,b", "+5", "-1"] {
            assert!(read_account(value).unwrap_err().ends_with("a single name or number"));
        }
        for value in ["4294967295", "4294967296", "99999999999999999999"] {
            assert!(
                read_account(value).unwrap_err().ends_with("below 4294967295"),
                "{value} must not become the number that changes nothing"
            );
        }
    }

    #[test]
    fn groups_are_separated_by_blanks_and_may_be_none_at_all() {
        assert_eq!(read_groups("a  b 7"), Ok(["a", "b", "7"].map(String::from).into()));
        assert_eq!(read_groups("none"), Ok(Vec::new()));
        assert!(read_groups("a,b").unwrap_err().ends_with("separated by blanks"));
        assert!(read_groups("a b:c").unwrap_err().contains("\"b:c\""));
        assert_eq!(show_groups(None), "");
        assert_eq!(show_groups(Some(&[])), "none");
        assert_eq!(show_groups(Some(&["a".into(), "b".into()])), "a b");
    }

    #[test]
    fn variables_keep_their_values_as_they_stand() {
        let mut env = Vec::new();
        for value in ["A=1", "_b2= x \"y\" = z", "C="] {
            add_variable(&mut env, value).unwrap();
        }
        assert_eq!(show_env(&env), "A=1\n_b2= x \"y\" = z\nC=");
        assert_eq!(env[1], ("_b2".into(), " x \"y\" = z".into()));
    }

    #[test]
    fn variables_need_a_name() {
        let mut env = Vec::new();
        assert_eq!(add_variable(&mut env, "A").unwrap_err(), "is \"A\", but must be NAME=VALUE");
        for value in ["=1", "1A=1", "A B=1", "A-B=1", "A =1", "\u{e9}=1", "\"A=1\"", "export A=1"] {
            let wrong = add_variable(&mut env, value).unwrap_err();
            assert!(wrong.ends_with("not begin with a digit"), "{value}");
        }
        assert!(env.is_empty());
    }

    #[test]
    fn description_cannot_move_the_cursor() {
        assert_eq!(read_description("Caf\u{e9} \"x\""), Ok("Caf\u{e9} \"x\"".into()));
        assert!(read_description("a\x1b[2J").is_err());
        assert!(read_description("a\rb").is_err());
    }

    #[test]
    fn command_needs_a_program() {
        let mut cmd = Vec::new();
        set_command(&mut cmd, "a ''").unwrap();
        assert_eq!(cmd, ["a", ""]);
        for value in ["", "  ", "''", "\"\" a"] {
            assert_eq!(set_command(&mut cmd, value).unwrap_err(), "has no command in it");
        }
        assert!(set_command(&mut cmd, "b 'c").is_err());
        assert_eq!(cmd, ["a", ""], "a refused value must change nothing");
    }
}
