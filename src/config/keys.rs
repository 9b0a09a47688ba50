//! The one table of keys. Parsing, checking, comparing two versions of a file,
//! the manual and the house test all read it, so that a key added here is known
//! everywhere, and none is known anywhere else.

mod cgroup;
mod changes;
mod child;
mod course;
mod ending;
mod instances;
mod life;
mod limits;
mod minding;
mod order;
mod output;
mod people;
mod process;
mod sockets;
mod watchdog;

use super::grammar::blank_separated;
use super::spec::Spec;

/// In bytes. Longer than any sensible command, and short enough for the kernel,
/// which takes no argument or variable of 128 KiB.
pub const VALUE_MAX: usize = 64 * 1024;

/// When a changed value begins to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// At once: only the supervisor needs to know it.
    Now,
    /// With a new process, which is why the service is restarted.
    Restart,
}

/// What people are told about a key. It stands apart, so that a program which tells
/// nobody does not carry it.
pub struct About {
    /// The form of its value.
    pub values: &'static str,
    /// Its value when the file does not have it; empty when there is none.
    pub default: &'static str,
    /// What it is for, in one sentence.
    pub help: &'static str,
}

/// What there is to do with a key.
pub struct Key {
    /// As it stands before the `=`.
    pub name: &'static str,
    /// Whether it may stand on several lines, each adding to a list.
    pub repeats: bool,
    /// When a change counts.
    pub effect: Effect,
    /// Reads a value, which is not empty. Tells what is wrong in words that go
    /// on where `key=` ends. A list gets longer.
    pub set: fn(&mut Spec, &str) -> Result<(), String>,
    /// Writes the value so that equal values are equal texts, and so that `set`
    /// reads it again; empty for none. A list of lines has a newline between.
    pub get: fn(&Spec) -> String,
    /// Makes room for the values of a file, which replace a default list. Does
    /// nothing for keys that do not repeat, and for lists that add to it.
    pub clear: fn(&mut Spec),
}

impl Key {
    /// What people are told about it.
    pub fn about(&self) -> &'static About {
        let index = names().position(|name| name == self.name).unwrap_or(0);
        ABOUTS.iter().copied().flatten().nth(index).unwrap_or(&NOTHING)
    }

    /// Reads a value, and complains in a whole sentence.
    pub fn apply(&self, spec: &mut Spec, value: &str) -> Result<(), String> {
        if value.is_empty() {
            return Err(format!("{}= has no value", self.name));
        }
        if value.len() > VALUE_MAX {
            return Err(format!("Value of {}= is too long (max: {VALUE_MAX})", self.name));
        }
        (self.set)(spec, value).map_err(|wrong| {
            let is_commented = blank_separated(value).skip(1).any(|word| word.starts_with('#'));
            let hint = if is_commented { "; a comment needs a line of its own" } else { "" };
            format!("{}= {wrong}{hint}", self.name)
        })
    }
}

/// All there is to know about a key, as the rooms have it.
#[derive(Clone, Copy)]
struct Entry {
    name: &'static str,
    repeats: bool,
    effect: Effect,
    values: &'static str,
    default: &'static str,
    help: &'static str,
    set: fn(&mut Spec, &str) -> Result<(), String>,
    get: fn(&Spec) -> String,
    clear: fn(&mut Spec),
}

/// What most keys are, so that an entry below says only what is special.
const PLAIN: Entry = Entry {
    name: "",
    repeats: false,
    effect: Effect::Restart,
    values: "",
    default: "",
    help: "",
    set: |_, _| Ok(()),
    get: |_| String::new(),
    clear: |_| {},
};

/// Of keys that are not in the table, of which there are none.
static NOTHING: About = About { values: "", default: "", help: "" };

/// The parts of the entries of a room, at compile time.
macro_rules! parts {
    ($part:ident { $($field:ident),* } of $room:ident) => {
        &const {
            let mut entries: &[_] = &$room::KEYS;
            let mut parts = [const { $part { $($field: PLAIN.$field),* } }; $room::KEYS.len()];
            let mut rest: &mut [_] = &mut parts;
            while let ([entry, others @ ..], [part, left @ ..]) = (entries, rest) {
                *part = $part { $($field: entry.$field),* };
                (entries, rest) = (others, left);
            }
            parts
        }
    };
}

/// The table, a room for each thing there is to say of a service.
macro_rules! rooms {
    ($($room:ident)*) => {
        static ROOMS: &[&[Key]] =
            &[$(parts!(Key { name, repeats, effect, set, get, clear } of $room)),*];
        static ABOUTS: &[&[About]] = &[$(parts!(About { values, default, help } of $room)),*];
    };
}

rooms!(
    process child limits sockets cgroup order course watchdog life ending minding output changes
    instances people
);

/// Every key, in the order in which one reads about them.
pub fn all() -> impl Iterator<Item = &'static Key> + Clone {
    ROOMS.iter().copied().flatten()
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

/// The names of all keys.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    all().map(|key| key.name)
}

/// What changed from one spec to another, in the order of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Keys whose new value counts at once.
    pub now: Vec<&'static str>,
    /// Keys whose new value needs a new process.
    pub restart: Vec<&'static str>,
}

impl Differences {
    /// Whether no value changed.
    pub fn is_empty(&self) -> bool {
        self.now.is_empty() && self.restart.is_empty()
    }
}

/// Compares two specs value by value.
pub fn differences(old: &Spec, new: &Spec) -> Differences {
    let mut differences = Differences::default();
    for key in all() {
        if (key.get)(old) != (key.get)(new) {
            match key.effect {
                Effect::Now => differences.now.push(key.name),
                Effect::Restart => differences.restart.push(key.name),
            }
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of every key that differ from its default, as `get` writes them.
    const OTHERS: &[(&str, &str)] = &[
        ("cmd", "/bin/sh -c 'exec a'"),
        ("cwd", "/tmp"),
        ("user", "nobody"),
        ("group", "65534"),
        ("groups", "adm 4"),
        ("umask", "077"),
        ("env", "A= b"),
        ("env-file", "-/etc/default/a b"),
        ("unset-env", "LANG LC_ALL"),
        ("clean-env", "yes"),
        ("chroot", "/srv/a b"),
        ("no-new-privs", "yes"),
        ("capabilities", "chown net-bind-service"),
        ("private", "net tmp"),
        ("read-only", "/"),
        ("writable", "-/var/lib/a"),
        ("harden", "strict"),
        ("limit-as", "1G"),
        ("limit-core", "0:unlimited"),
        ("limit-cpu", "60:90"),
        ("limit-data", "1M"),
        ("limit-fsize", "1K"),
        ("limit-locks", "10"),
        ("limit-memlock", "64K"),
        ("limit-msgqueue", "800K"),
        ("limit-nice", "25"),
        ("limit-nofile", "1024:4096"),
        ("limit-nproc", "100"),
        ("limit-rss", "1M"),
        ("limit-rtprio", "99"),
        ("limit-rttime", "200000"),
        ("limit-sigpending", "1000"),
        ("limit-stack", "8M"),
        ("nice", "-5"),
        ("oom-score-adj", "-1000"),
        ("cpu-affinity", "0-3,5"),
        ("sched", "rr:10"),
        ("ionice", "best-effort:7"),
        ("start", "manual"),
        ("listen", "tcp:*:80 backlog=5"),
        ("listen-as", "stdin"),
        ("cgroup", "yes"),
        ("memory-max", "25%"),
        ("memory-high", "200M"),
        ("cpu-max", "150%"),
        ("cpu-weight", "50"),
        ("pids-max", "100"),
        ("needs", "db web@"),
        ("after", "log:1"),
        ("priority", "7"),
        ("on-need-restart", "reload"),
        ("condition", "!path:/etc/nologin"),
        ("setup", "mkdir -p /run/a"),
        ("ready", "uptime"),
        ("start-timeout", "5s"),
        ("finish", "rm -rf /run/a"),
        ("finish-timeout", "5s"),
        ("watchdog", "30s"),
        ("type", "oneshot"),
        ("restart", "on-failure"),
        ("success", "2 TERM"),
        ("min-uptime", "500ms"),
        ("backoff", "1m30s"),
        ("backoff-max", "1h"),
        ("jitter", "0"),
        ("strikes", "5"),
        ("burst", "none"),
        ("stop", "INT 1s TERM 1m KILL"),
        ("kill", "all"),
        ("term-delay", "5s"),
        ("essential", "yes"),
        ("exit-code-from", "web"),
        ("health", "curl -f http://localhost/"),
        ("health-every", "10s"),
        ("health-timeout", "500ms"),
        ("health-fails", "1"),
        ("every", "1h"),
        ("max-runtime", "1h"),
        ("max-memory", "200M"),
        ("on-quarantine", "logger -t web quarantined"),
        ("on-failed", "mail -s 'web failed' root"),
        ("on-change", "notify"),
        ("stdin", "file:/dev/zero"),
        ("stdout", "file:/tmp/out"),
        ("stderr", "log"),
        ("log-size", "10M"),
        ("log-keep", "0"),
        ("log-compress", "no"),
        ("log-timestamps", "local"),
        ("log-strip-ansi", "yes"),
        ("log-rate", "1000/10s"),
        ("log-full", "block"),
        ("log-prefix", "yes"),
        ("log-truncate", "yes"),
        ("reload-signal", "none"),
        ("watch", "/etc/a b"),
        ("on-watch", "reload-signal"),
        ("instances", "4"),
        ("tag", "web front-end"),
        ("control", "www @staff"),
        ("description", "It's for people"),
    ];

    fn changed(name: &str, value: &str) -> Spec {
        let mut spec = Spec::default();
        let key = find(name).unwrap();
        (key.clear)(&mut spec);
        key.apply(&mut spec, value).unwrap();
        spec
    }

    #[test]
    fn table_and_spec_have_the_same_defaults() {
        for key in all() {
            let spec = Spec::default();
            let expected = (key.get)(&spec);
            if key.about().default.is_empty() {
                assert_eq!(expected, "", "{}", key.name);
            } else {
                assert_eq!(
                    (key.get)(&changed(key.name, key.about().default)),
                    expected,
                    "{}",
                    key.name
                );
            }
        }
    }

    #[test]
    fn every_key_reads_what_it_writes_and_touches_no_other() {
        assert!(names().eq(OTHERS.iter().map(|(name, _)| *name)));
        for &(name, value) in OTHERS {
            let key = find(name).unwrap();
            let spec = changed(name, value);
            assert_eq!((key.get)(&spec), value, "{name}");
            let differences = differences(&Spec::default(), &spec);
            let (now, restart) = match key.effect {
                Effect::Now => (vec![name], vec![]),
                Effect::Restart => (vec![], vec![name]),
            };
            assert_eq!((differences.now, differences.restart), (now, restart));
        }
    }

    #[test]
    fn only_what_the_supervisor_alone_knows_is_changed_without_a_restart() {
        let now: Vec<&str> =
            all().filter(|key| key.effect == Effect::Now).map(|key| key.name).collect();
        let expected = "start memory-max memory-high cpu-max cpu-weight pids-max needs after priority on-need-restart condition \
                        start-timeout finish finish-timeout restart success min-uptime backoff \
                        backoff-max jitter strikes burst stop kill term-delay essential \
                        exit-code-from health health-every health-timeout health-fails every max-runtime max-memory on-quarantine on-failed on-change log-size log-keep log-compress log-timestamps \
                        log-strip-ansi log-rate log-full log-truncate reload-signal watch on-watch \
                        instances tag control description";
        assert_eq!(now.join(" "), expected);
    }

    #[test]
    fn lists_get_longer_and_env_keeps_its_defaults() {
        let repeating: Vec<&str> = all().filter(|key| key.repeats).map(|key| key.name).collect();
        let expected = "env env-file unset-env read-only writable listen needs after condition success watch \
                        tag control";
        assert_eq!(repeating.join(" "), expected);
        let mut spec = changed("success", "2");
        (find("success").unwrap().set)(&mut spec, "TERM").unwrap();
        assert_eq!((find("success").unwrap().get)(&spec), "2 TERM");
        let mut spec = changed("env", "A=1");
        let env = find("env").unwrap();
        (env.clear)(&mut spec);
        env.apply(&mut spec, "A=2").unwrap();
        assert_eq!((env.get)(&spec), "A=1\nA=2");
    }

    #[test]
    fn table_is_fit_to_be_a_manual() {
        for key in all() {
            assert!(
                key.about().help.ends_with('.') && !key.about().help.contains("  "),
                "{}",
                key.name
            );
            assert!(!key.about().values.is_empty(), "{}", key.name);
            let is_dashed = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(!key.name.is_empty() && key.name.bytes().all(is_dashed), "{}", key.name);
            assert_eq!(names().filter(|name| *name == key.name).count(), 1, "{}", key.name);
        }
    }

    #[test]
    fn every_key_refuses_no_value_and_a_too_long_one() {
        for key in all() {
            let mut spec = Spec::default();
            let apply = |spec: &mut Spec, value: &str| key.apply(spec, value).unwrap_err();
            assert_eq!(apply(&mut spec, ""), format!("{}= has no value", key.name));
            let expected = format!("Value of {}= is too long (max: 65536)", key.name);
            assert_eq!(apply(&mut spec, &"x".repeat(VALUE_MAX + 1)), expected);
            assert_eq!(spec, Spec::default(), "{}", key.name);
        }
        assert_eq!(changed("cmd", &"x".repeat(VALUE_MAX)).cmd[0].len(), VALUE_MAX);
    }

    #[test]
    fn equal_values_are_no_difference_however_they_are_spelled() {
        for (name, one, other) in [
            ("cmd", "a 'b' \"c d\"", "a b c\\ d"),
            ("stop", "TERM", "15 10 SIGKILL"),
            ("min-uptime", "90", "1m30s"),
            ("burst", "10/60", "10/1m"),
            ("umask", "22", "0022"),
            ("success", "0  TERM 0", "0 SIGTERM"),
            ("jitter", "5", "5%"),
            ("groups", "a  b", "a b"),
        ] {
            assert!(differences(&changed(name, one), &changed(name, other)).is_empty(), "{name}");
        }
    }
}
