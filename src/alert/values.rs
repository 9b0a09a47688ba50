//! The values of our keys. Readers tell what is wrong as the rest of a sentence that
//! begins with the key, as those of service files do.

use std::time::Duration;

use super::event::Kind;
use regex::bytes::RegexBuilder;

use super::settings::{Hook, Pattern, Server, Shape, Source, Tls};
use crate::config::Burst;
use crate::config::grammar::{blank_separated, show, split};
use crate::config::nearest::nearest;
use crate::config::template::is_name;
use crate::config::values::{Choices, hint, not_one_of, read_path, wrong};
use crate::config::words::{Must, read_count, read_duration};

/// `tls=`
pub const TLS: &Choices<Tls> =
    &[("starttls", Tls::Later), ("yes", Tls::Always), ("no", Tls::Never)];
/// `shape=`
pub const SHAPES: &Choices<Shape> = &[
    ("json", Shape::Json),
    ("slack", Shape::Slack),
    ("ntfy", Shape::Ntfy),
    ("mailgun", Shape::Mailgun),
    ("pagerduty", Shape::PagerDuty),
];
/// `syslog=`, by the numbers of syslog(3).
const FACILITIES: &Choices<u8> = &[
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// In bytes, of a pattern that is ready to be looked for.
const KEYWORD_MAX: usize = 1024 * 1024;

/// More would be a list of the wrong kind.
const LINES_MAX: u32 = 1000;
/// A directory of more files is slow.
const SPOOL_MAX: u32 = 100_000;

/// More names, patterns or tags of services.
pub fn add_services(place: &mut Vec<String>, value: &str) -> Result<(), String> {
    for word in blank_separated(value) {
        let known = |letter: char| letter.is_ascii_alphanumeric() || "._-@:*?[]!".contains(letter);
        if !word.chars().all(known) || word == "@" {
            return Err(format!(
                "has {} in it: it is not a name, pattern or @tag of services",
                show(word)
            ));
        }
        place.push(word.to_owned());
    }
    Ok(())
}

/// More events.
pub fn add_events(place: &mut Vec<Kind>, value: &str) -> Result<(), String> {
    for word in blank_separated(value) {
        if word == "all" {
            let all = Kind::WORDS.iter().map(|(_, kind)| *kind);
            let new: Vec<_> = all.filter(|it| !it.is_written() && !place.contains(it)).collect();
            place.extend(new);
            continue;
        }
        let Some(kind) = Kind::read(word) else {
            let words = Kind::WORDS.iter().map(|(word, _)| *word);
            let text = format!("has {} in it: it is not an event", show(word));
            return Err(hint(text, nearest(word, words.chain(["all"]))));
        };
        if !place.contains(&kind) {
            place.push(kind);
        }
    }
    Ok(())
}

/// One more pattern to look for.
pub fn add_keyword(place: &mut Vec<Pattern>, value: &str) -> Result<(), String> {
    let built = RegexBuilder::new(value).case_insensitive(true).size_limit(KEYWORD_MAX).build();
    let regex = built.map_err(|error| {
        // The last line says it, the others draw it.
        let text = error.to_string();
        let text = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("is {}, but that is no pattern: {text}", show(value))
    })?;
    place.push(Pattern(regex));
    Ok(())
}

/// So many within so long.
pub fn read_limit(word: &str) -> Result<Option<Burst>, Must> {
    if word == "none" {
        return Ok(None);
    }
    const FORM: Must = "messages/duration such as 20/1h, or none";
    let (count, within) = word.split_once('/').ok_or(FORM)?;
    let count = read_count(count).and_then(|count| u16::try_from(count).ok()).ok_or(FORM)?;
    let within = read_duration(within)?;
    if count == 0 || within.is_zero() { Err(FORM) } else { Ok(Some(Burst { count, within })) }
}

/// One address for mail.
pub fn read_address(word: &str) -> Result<String, String> {
    const FORM: &str = "an address such as ops@example.org, or the name of a user";
    // It goes into commands and headers, where every other sign may mean something.
    let is_known =
        |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.@".contains(letter);
    let is_good = !word.starts_with(['-', '@', '.'])
        && !word.ends_with(['@', '.'])
        && word.matches('@').count() <= 1
        && word.len() <= 254
        && word.chars().all(is_known);
    if is_good { Ok(word.to_owned()) } else { Err(wrong(word, FORM)) }
}

/// More addresses.
pub fn add_addresses(place: &mut Vec<String>, value: &str) -> Result<(), String> {
    for word in value.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
        place.push(read_address(word)?);
    }
    if place.is_empty() { Err("has no address in it".to_owned()) } else { Ok(()) }
}

/// A host, and a port if it is not the usual one.
pub fn read_server(value: &str) -> Result<Server, Must> {
    const FORM: Must = "HOST or HOST:PORT, with [ ] around an IPv6 address";
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let port = port.parse::<u16>().ok().filter(|port| *port > 0);
            (host, port.ok_or(FORM)?)
        }
        _ => (value, 0),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_known = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    let is_good = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.starts_with('-') && host.chars().all(is_known),
    };
    let host = bare.unwrap_or(host).to_owned();
    if is_good { Ok(Server { host, port }) } else { Err(FORM) }
}

/// Where a secret is; never the secret.
pub fn read_source(value: &str) -> Result<Source, String> {
    if let Some(path) = value.strip_prefix("file:") {
        return read_path(path).map(Source::File).map_err(|must| wrong(path, must));
    }
    if let Some(name) = value.strip_prefix("env:").filter(|name| is_name(name)) {
        return Ok(Source::Variable(name.to_owned()));
    }
    // What stands there may be the secret itself, so it is not repeated.
    Err("must be file:PATH or env:NAME; the secret itself has no place in here".to_owned())
}

/// Where to post.
pub fn read_hook(value: &str) -> Result<Hook, String> {
    if value == "secret" {
        return Ok(Hook::Secret);
    }
    check_url(value).map(|()| Hook::Url(value.to_owned()))
}

/// Refuses what is no URL. It may have secrets in it, so it is not repeated.
pub fn check_url(value: &str) -> Result<(), String> {
    const FORM: &str = "must be an http:// or https:// URL, or secret if secret= has it";
    let rest = value.strip_prefix("https://").or(value.strip_prefix("http://")).ok_or(FORM)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("has a password in it, which belongs into secret=".to_owned());
    }
    let is_good = !authority.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    if is_good { Ok(()) } else { Err(FORM.to_owned()) }
}

/// A command.
pub fn read_command(value: &str) -> Result<Vec<String>, String> {
    let words = split(value)?;
    match words.first() {
        Some(first) if first.starts_with('/') => Ok(words),
        _ => Err("must begin with the absolute path of a program".to_owned()),
    }
}

/// A facility of syslog(3), shifted.
pub fn read_facility(value: &str) -> Result<u8, String> {
    let known = FACILITIES.iter().find(|(word, _)| *word == value);
    let known = known.map(|(_, number)| number.wrapping_shl(3));
    known.ok_or_else(|| not_one_of(value, FACILITIES.iter().map(|(word, _)| *word)))
}

/// How long a try may take.
pub fn read_timeout(word: &str) -> Result<Duration, Must> {
    let good = Duration::from_secs(1)..=Duration::from_secs(3600);
    read_duration(word)
        .and_then(|it| if good.contains(&it) { Ok(it) } else { Err("a duration from 1s to 1h") })
}

/// How many lines.
pub fn read_lines(word: &str) -> Result<u32, Must> {
    read_count(word).filter(|it| *it <= LINES_MAX).ok_or("a number from 0 to 1000")
}

/// How many messages.
pub fn read_spool(word: &str) -> Result<u32, Must> {
    let good = 1..=SPOOL_MAX;
    read_count(word).filter(|it| good.contains(it)).ok_or("a number from 1 to 100000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_can_neither_be_options_nor_headers() {
        for word in ["root", "ops@example.org", "a+b@c.d"] {
            assert_eq!(read_address(word), Ok(word.to_owned()));
        }
        for word in
            ["-oQ/tmp", "a@b@c", "a b", "a\r\nBcc: x", "<a@b>", "@b", "a@", "a;b", "\u{e9}@x"]
        {
            assert!(read_address(word).is_err(), "{word}");
        }
        let mut list = Vec::new();
        add_addresses(&mut list, "a@b, c@d\te").unwrap();
        assert_eq!(list, ["a@b", "c@d", "e"]);
        assert!(add_addresses(&mut Vec::new(), " , ").is_err());
    }

    #[test]
    fn servers_have_a_port_if_they_say_so() {
        let server = |host: &str, port| Server { host: host.to_owned(), port };
        assert_eq!(read_server("mail.example.org"), Ok(server("mail.example.org", 0)));
        assert_eq!(read_server("mail:25"), Ok(server("mail", 25)));
        assert_eq!(read_server("[::1]:587"), Ok(server("::1", 587)));
        assert_eq!(read_server("[::1]"), Ok(server("::1", 0)));
        for word in ["", ":25", "mail:0", "mail:x", "::1", "a b", "[x]:1", "mail:70000"] {
            assert!(read_server(word).is_err(), "{word}");
        }
    }

    #[test]
    fn secrets_are_named_and_never_repeated() {
        assert_eq!(read_source("file:/etc/s"), Ok(Source::File("/etc/s".into())));
        assert_eq!(read_source("env:TOKEN"), Ok(Source::Variable("TOKEN".into())));
        assert!(!read_source("hunter2").unwrap_err().contains("hunter2"));
        assert!(!read_hook("hunter2").unwrap_err().contains("hunter2"));
        assert!(!read_hook("https://me:hunter2@x/").unwrap_err().contains("hunter2"));
        assert_eq!(read_hook("https://x/y"), Ok(Hook::Url("https://x/y".into())));
        assert!(read_hook("https:///y").is_err());
        assert!(read_hook("http://x/a b").is_err());
    }

    #[test]
    fn events_are_listed_once_and_misspelled_ones_are_guessed() {
        let mut list = Vec::new();
        add_events(&mut list, "failed  stop failed").unwrap();
        assert_eq!(list, [Kind::Failed, Kind::Stop]);
        let why = add_events(&mut list, "quarantined").unwrap_err();
        assert!(why.ends_with("it is not an event; did you mean \"quarantine\"?"), "{why}");
        add_events(&mut list, "all").unwrap();
        assert_eq!(list.len(), Kind::WORDS.len() - 2, "but for what is written");
    }
}
