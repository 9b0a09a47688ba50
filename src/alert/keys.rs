//! The one table of our keys: reading, checking, the manual and the house test all
//! go by it.

use super::every;
use super::settings::Settings;
use super::values::{
    SHAPES, TLS, add_addresses, add_events, add_keyword, add_services, read_address, read_command,
    read_facility, read_hook, read_limit, read_lines, read_server, read_source, read_spool,
    read_timeout,
};
use crate::config::Complaint;
use crate::config::grammar::{self, Line, show};
use crate::config::keys::VALUE_MAX;
use crate::config::nearest::nearest;
use crate::config::values::{choose, hint, read_path, store, wrong};
use crate::config::words::read_duration;

/// What there is to do with a key.
pub struct Key {
    /// As it stands before the `=`.
    pub name: &'static str,
    /// Whether it may stand on several lines.
    pub repeats: bool,
    /// Its value when the file does not have it; empty when there is none.
    pub default: &'static str,
    /// Reads a value, which is not empty.
    set: fn(&mut Settings, &str) -> Result<(), String>,
    /// Makes room for the values of a file.
    clear: fn(&mut Settings),
}

const PLAIN: Key = Key { name: "", repeats: false, default: "", set: |_, _| Ok(()), clear: |_| {} };

/// Every key, in the order in which one reads about them.
pub static KEYS: &[Key] = &[
    Key {
        name: "service",
        repeats: true,
        default: "*",
        set: |to, value| add_services(&mut to.service, value),
        clear: |to| to.service.clear(),
    },
    Key {
        name: "event",
        repeats: true,
        default: "unexpected-exit quarantine failed unhealthy recovered lost notice",
        set: |to, value| add_events(&mut to.event, value),
        clear: |to| to.event.clear(),
    },
    Key {
        name: "keyword",
        repeats: true,
        set: |to, value| add_keyword(&mut to.keyword, value),
        clear: |to| to.keyword.clear(),
        ..PLAIN
    },
    Key {
        name: "command",
        set: |to, value| read_command(value).map(|it| to.command = it),
        ..PLAIN
    },
    Key {
        name: "syslog",
        set: |to, value| read_facility(value).map(|it| to.syslog = Some(it)),
        ..PLAIN
    },
    Key {
        name: "webhook",
        set: |to, value| read_hook(value).map(|it| to.webhook = Some(it)),
        ..PLAIN
    },
    Key {
        name: "shape",
        default: "json",
        set: |to, value| choose(&mut to.shape, value, SHAPES),
        ..PLAIN
    },
    Key {
        name: "mail",
        repeats: true,
        set: |to, value| add_addresses(&mut to.mail, value),
        clear: |to| to.mail.clear(),
        ..PLAIN
    },
    Key {
        name: "from",
        set: |to, value| read_address(value).map(|it| to.from = Some(it)),
        ..PLAIN
    },
    Key {
        name: "sendmail",
        default: "/usr/sbin/sendmail",
        set: |to, value| store(&mut to.sendmail, value, read_path),
        ..PLAIN
    },
    Key {
        name: "smtp",
        set: |to, value| {
            read_server(value).map(|it| to.smtp = Some(it)).map_err(|must| wrong(value, must))
        },
        ..PLAIN
    },
    Key {
        name: "tls",
        default: "starttls",
        set: |to, value| choose(&mut to.tls, value, TLS),
        ..PLAIN
    },
    Key {
        name: "tls-ca",
        set: |to, value| {
            read_path(value).map(|it| to.tls_ca = Some(it)).map_err(|must| wrong(value, must))
        },
        ..PLAIN
    },
    Key { name: "user", set: |to, value| read_user(value).map(|it| to.user = Some(it)), ..PLAIN },
    Key {
        name: "secret",
        set: |to, value| read_source(value).map(|it| to.secret = Some(it)),
        ..PLAIN
    },
    Key {
        name: "timeout",
        default: "30s",
        set: |to, value| store(&mut to.timeout, value, read_timeout),
        ..PLAIN
    },
    Key {
        name: "lines",
        default: "10",
        set: |to, value| store(&mut to.lines, value, read_lines),
        ..PLAIN
    },
    Key {
        name: "every",
        default: "now",
        set: |to, value| every::read(value).map(|it| to.every = it),
        ..PLAIN
    },
    Key {
        name: "calm",
        default: "5m",
        set: |to, value| store(&mut to.calm, value, read_duration),
        ..PLAIN
    },
    Key {
        name: "limit",
        default: "100/1h",
        set: |to, value| store(&mut to.limit, value, read_limit),
        ..PLAIN
    },
    Key {
        name: "spool",
        default: "1000",
        set: |to, value| store(&mut to.spool, value, read_spool),
        ..PLAIN
    },
];

fn read_user(value: &str) -> Result<String, String> {
    if value.contains(char::is_control) {
        return Err(wrong(value, "free of control characters"));
    }
    Ok(value.to_owned())
}

fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

impl Key {
    fn apply(&self, settings: &mut Settings, value: &str) -> Result<(), String> {
        if value.is_empty() {
            return Err(format!("{}= has no value", self.name));
        }
        if value.len() > VALUE_MAX {
            return Err(format!("Value of {}= is too long (max: {VALUE_MAX})", self.name));
        }
        (self.set)(settings, value).map_err(|wrong| format!("{}= {wrong}", self.name))
    }
}

type Seen = Vec<(&'static str, u32)>;

/// Makes settings of the text of a file, or tells everything that is wrong with it.
///
/// # Errors
/// Complaints, in the order of their lines.
pub fn parse(text: &[u8]) -> Result<Settings, Vec<Complaint>> {
    let mut settings = Settings::default();
    let mut seen = Seen::new();
    let mut complaints = Vec::new();
    for line in grammar::lines(text) {
        let read = line.and_then(|line| {
            let complain = |message| Complaint { line: line.number, message };
            read_line(&mut settings, &mut seen, &line).map_err(complain)
        });
        complaints.extend(read.err());
    }
    // Of a line that cannot be read, nobody knows what it would go with.
    if complaints.is_empty() {
        complaints.extend(check_whole(&settings, &seen));
    }
    if complaints.is_empty() { Ok(settings) } else { Err(complaints) }
}

fn read_line(settings: &mut Settings, seen: &mut Seen, line: &Line<'_>) -> Result<(), String> {
    let Some(key) = find(line.key) else {
        let names = KEYS.iter().map(|key| key.name);
        return Err(hint(format!("unknown key {}", show(line.key)), nearest(line.key, names)));
    };
    match line_of(seen, key.name) {
        0 => {
            seen.push((key.name, line.number));
            (key.clear)(settings);
        }
        _ if key.repeats => {}
        first => return Err(format!("{}= again, first in line {first}", key.name)),
    }
    key.apply(settings, line.value)
}

fn line_of(seen: &Seen, key: &str) -> u32 {
    seen.iter().find(|(name, _)| *name == key).map_or(0, |(_, line)| *line)
}

/// What goes with what: the keys, one of which must be there for a key to mean
/// anything.
const COMPANY: [(&str, &[&str]); 9] = [
    ("shape", &["webhook"]),
    ("from", &["mail"]),
    ("sendmail", &["mail"]),
    ("smtp", &["mail"]),
    ("tls", &["smtp"]),
    ("tls-ca", &["smtp", "webhook"]),
    ("user", &["smtp"]),
    ("secret", &["user", "webhook"]),
    ("timeout", &["mail", "webhook", "command"]),
];

/// What no single line can tell.
fn check_whole(settings: &Settings, seen: &Seen) -> Option<Complaint> {
    let line = |key| line_of(seen, key);
    if settings.event.contains(&super::event::Kind::Keyword) && settings.keyword.is_empty() {
        let text = "event= has \"keyword\" in it, but there is no keyword=".to_owned();
        return Some(Complaint { line: line("event"), message: text });
    }
    let complain = |key, text: &str| Some(Complaint { line: line(key), message: text.to_owned() });
    let is_mailgun =
        settings.webhook.is_some() && settings.shape == super::settings::Shape::Mailgun;
    let targets = ["command", "syslog", "webhook", "mail"];
    let mut given: Vec<_> = targets.into_iter().filter(|key| line(key) > 0).collect();
    if is_mailgun {
        if settings.mail.is_empty() || settings.secret.is_none() {
            return complain("shape", "shape= is \"mailgun\", which needs mail= and secret=");
        }
        given.retain(|key| *key != "mail");
    }
    match given.as_slice() {
        [_] => {}
        [] => {
            let text = "nobody is told: there must be command=, syslog=, webhook= or mail=";
            return Some(Complaint { line: 0, message: text.to_owned() });
        }
        [first, second, ..] => {
            let text = format!("{second}= and {first}= in one file; make a file for each");
            return complain(second, &text);
        }
    }
    for (key, company) in COMPANY {
        if line(key) > 0 && company.iter().all(|other| line(other) == 0) {
            let others = company.join("= or ");
            return complain(key, &format!("{key}= means nothing without {others}="));
        }
    }
    if settings.webhook == Some(super::settings::Hook::Secret) && settings.secret.is_none() {
        return complain("webhook", "webhook= is \"secret\", but there is no secret=");
    }
    if settings.shape == super::settings::Shape::PagerDuty && settings.secret.is_none() {
        return complain("shape", "shape= is \"pagerduty\", which needs secret=, its routing key");
    }
    if settings.user.is_some() && settings.secret.is_none() {
        return complain("user", "user= needs secret=, the password");
    }
    if settings.user.is_some() && settings.tls == super::settings::Tls::Never {
        return complain("tls", "tls= is \"no\", but then everybody can read the password");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let complaints = parse(text.as_bytes()).unwrap_err();
        let lines = complaints.iter().map(|it| format!("{}: {}", it.line, it.message));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn table_and_settings_have_the_same_defaults() {
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            let mut settings = Settings::default();
            (key.clear)(&mut settings);
            key.apply(&mut settings, key.default).unwrap();
            assert_eq!(settings, Settings::default(), "{}", key.name);
        }
    }

    #[test]
    fn a_file_tells_one_target() {
        assert!(parse(b"syslog=daemon\n").is_ok());
        assert!(parse(b"mail=root\nlines=0\n").is_ok());
        assert!(said("event=failed\n").starts_with("0: nobody is told"));
        assert!(said("mail=root\nsyslog=daemon\n").starts_with("1: mail= and syslog= in one"));
        let mailgun = "webhook=https://x/\nshape=mailgun\nmail=a@b\nsecret=env:KEY\n";
        assert!(parse(mailgun.as_bytes()).is_ok());
        assert!(said("webhook=https://x/\nshape=mailgun\n").contains("needs mail="));
    }

    #[test]
    fn complaints_have_a_line_and_a_hint() {
        let text = "mial=root\nevent=quarantin\nsyslog=daemn\nsmtp=x:y\nevent\n";
        assert_eq!(
            said(text),
            "1: unknown key \"mial\"; did you mean \"mail\"?\n\
             2: event= has \"quarantin\" in it: it is not an event; did you mean \"quarantine\"?\n\
             3: syslog= is \"daemn\", but must be one of user, daemon, auth, local0, local1, \
             local2, local3, local4, local5, local6, local7; did you mean \"daemon\"?\n\
             4: smtp= is \"x:y\", but must be HOST or HOST:PORT, with [ ] around an IPv6 address\n\
             5: no \"=\" in \"event\", but a line must be key=value"
        );
    }

    #[test]
    fn keys_that_mean_nothing_together_are_complained_about() {
        for (text, expected) in [
            ("syslog=daemon\nsmtp=x\n", "2: smtp= means nothing without mail="),
            ("mail=a\nsecret=env:X\n", "2: secret= means nothing without user= or webhook="),
            ("webhook=secret\n", "1: webhook= is \"secret\", but there is no secret="),
            ("mail=a\nsmtp=x\nuser=u\n", "3: user= needs secret=, the password"),
            ("mail=a\nmail=b\nfrom=c\nfrom=d\n", "4: from= again, first in line 3"),
            (
                "mail=a\nsmtp=x\nuser=u\nsecret=env:X\ntls=no\n",
                "5: tls= is \"no\", but then everybody can read the password",
            ),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }
}
