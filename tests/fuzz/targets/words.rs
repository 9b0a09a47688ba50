//! Single words and names of any bytes: readers must end, and read again what
//! their writers write.

#![no_main]

use going::config::limits::{self, Limits};
use going::config::names::{Name, judge};
use going::config::signals::{nearest_signal, read_signal};
use going::config::{Spec, child, env_file, grammar, keys, nearest, template, values, words};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    name(bytes);
    variables(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        split(text);
        numbers(text);
        lists(text);
        templates(text);
        every_key(text);
        let _ = nearest::nearest(text, keys::names());
        let shown = grammar::show(text);
        assert!(shown.len() < 1000 && !shown.contains(|letter: char| letter.is_control()));
    }
});

fn name(bytes: &[u8]) {
    match judge(bytes) {
        Name::Service | Name::Template => {
            assert!((1..=64).contains(&bytes.len()));
            assert!(bytes.is_ascii() && !bytes.contains(&b'/') && bytes[0] != b'.');
        }
        Name::Refused(reason) => assert!(!reason.contains(|letter: char| letter.is_control())),
        Name::TooLong => assert!(bytes.len() > 64),
        Name::Skip => {}
    }
}

fn split(text: &str) {
    if let Ok(words) = grammar::split(text) {
        assert_eq!(grammar::split(&grammar::join(&words)), Ok(words));
    }
    // Any list of words can be written.
    let list: Vec<String> = text.split(',').map(String::from).collect();
    assert_eq!(grammar::split(&grammar::join(&list)), Ok(list));
}

fn variables(bytes: &[u8]) {
    match env_file::parse(bytes) {
        Ok(variables) => {
            for (name, value) in variables {
                assert!(template::is_name(&name) && !value.contains(['\0', '\n']));
            }
        }
        Err(wrong) => {
            assert!(wrong.line >= 1 && !wrong.message.contains(|it: char| it.is_control()));
        }
    }
}

fn templates(text: &str) {
    if let Ok(words) = template::split(text) {
        assert_eq!(template::split(&template::join(&words)), Ok(words));
    }
    let list: Vec<String> = text.split(',').map(String::from).collect();
    assert_eq!(template::split(&template::join(&list)), Ok(list));
    if !text.contains(['\'', '\n']) {
        // Nothing is put in between single quotes.
        let words = template::split(&format!("'{text}'")).unwrap();
        assert_eq!(template::expand(&words[0], |_| Some(b"x")), Ok(text.as_bytes().to_vec()));
    }
    if template::check(text).is_ok() {
        let _ = template::expand(text, |name| (name != "A").then_some(&b"${A}"[..]));
    }
}

/// Whatever a key takes, it writes so that it takes it again.
fn every_key(text: &str) {
    // What no line of a file can have.
    if text.contains(['\n', '\r', '\0']) || grammar::trim(text) != text {
        return;
    }
    for key in keys::all() {
        let mut spec = Spec::default();
        if key.apply(&mut spec, text).is_err() {
            continue;
        }
        let mut again = Spec::default();
        (key.clear)(&mut again);
        for line in (key.get)(&spec).split('\n').filter(|line| !line.is_empty()) {
            assert_eq!(key.apply(&mut again, line), Ok(()), "{}", key.name);
        }
        assert_eq!((key.get)(&again), (key.get)(&spec), "{}", key.name);
    }
    let _ = (child::read_capabilities(text), child::read_private(text));
    let mut limits = Limits::default();
    for index in 0..limits::RESOURCES.len() {
        let _ = limits::set_limit(&mut limits, index, text);
    }
}

fn numbers(text: &str) {
    if let Ok(duration) = words::read_duration(text) {
        assert_eq!(words::read_duration(&words::show_duration(duration)), Ok(duration));
        assert!(duration.as_secs() <= 100 * 365 * 86_400);
    }
    if let Ok(size) = words::read_size(text) {
        assert_eq!(words::read_size(&words::show_size(size)), Ok(size));
    }
    if let Ok(burst) = words::read_burst(text) {
        assert_eq!(words::read_burst(&words::show_burst(burst)), Ok(burst));
    }
    if let Ok(mask) = words::read_umask(text) {
        assert_eq!(words::read_umask(&words::show_umask(mask)), Ok(mask));
    }
    let _ = (words::read_percent(text), words::read_yes(text), words::read_count(text));
}

fn lists(text: &str) {
    match read_signal(text) {
        Some(signal) => {
            assert!((1..=64).contains(&signal.0));
            assert_eq!(read_signal(&signal.word()), Some(signal));
            assert_eq!(read_signal(&signal.to_string()), Some(signal));
        }
        None => drop(nearest_signal(text)),
    }
    if let Ok(steps) = values::read_stop(text) {
        assert!(steps.iter().all(|step| step.signal.0 != 9));
        assert_eq!(values::read_stop(&values::show_stop(&steps)), Ok(steps));
    }
    let mut ends = Box::default();
    if values::add_success(&mut ends, text).is_ok() && !ends.is_empty() {
        let mut again = Box::default();
        assert_eq!(values::add_success(&mut again, &values::show_success(&ends)), Ok(()));
        assert_eq!(again, ends);
    }
}
