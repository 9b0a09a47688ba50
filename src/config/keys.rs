//! The one table of keys. Parsing, checking, comparing two versions of a file,
//! the manual and the house test all read it, so that a key added here is known
//! everywhere, and none is known anywhere else.

use std::cmp::Reverse;

use super::grammar::{blank_separated, join};
use super::spec::Spec;
use super::values::{
    KINDS, RESTARTS, WHOMS, add_controllers, add_success, add_tags, add_variable, choose, chosen,
    read_account, read_backoff, read_description, read_groups, read_path, read_stop, read_stream,
    read_strikes, set_command, show_env, show_groups, show_stop, show_stream, show_success, store,
};
use super::words::{
    read_burst, read_duration, read_percent, read_umask, show_burst, show_duration, show_umask,
};

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

/// All there is to know about a key.
pub struct Key {
    /// As it stands before the `=`.
    pub name: &'static str,
    /// Whether it may stand on several lines, each adding to a list.
    pub repeats: bool,
    /// When a change counts.
    pub effect: Effect,
    /// The form of its value, for people.
    pub values: &'static str,
    /// Its value when the file does not have it; empty when there is none.
    pub default: &'static str,
    /// What it is for, in one sentence.
    pub help: &'static str,
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

/// What most keys are, so that an entry below says only what is special.
const PLAIN: Key = Key {
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

/// Every key, in the order in which one reads about them.
pub static KEYS: [Key; 24] = [
    Key {
        name: "cmd",
        values: "WORD...",
        help: "The command: a program, found through PATH unless there is a slash in its name, \
               and its arguments, quoted as in a shell.",
        set: |spec, value| set_command(&mut spec.cmd, value),
        get: |spec| join(&spec.cmd),
        ..PLAIN
    },
    Key {
        name: "cwd",
        values: "DIRECTORY",
        default: "/",
        help: "The directory in which it runs.",
        set: |spec, value| store(&mut spec.cwd, value, read_path),
        get: |spec| spec.cwd.clone(),
        ..PLAIN
    },
    Key {
        name: "user",
        values: "NAME|NUMBER",
        help: "The user it runs as, if not going's own.",
        set: |spec, value| read_account(value).map(|name| spec.user = Some(name)),
        get: |spec| spec.user.clone().unwrap_or_default(),
        ..PLAIN
    },
    Key {
        name: "group",
        values: "NAME|NUMBER",
        help: "The group it runs as, if not the user's own.",
        set: |spec, value| read_account(value).map(|name| spec.group = Some(name)),
        get: |spec| spec.group.clone().unwrap_or_default(),
        ..PLAIN
    },
    Key {
        name: "groups",
        values: "NAME|NUMBER...|none",
        help: "Its supplementary groups, if not the user's own.",
        set: |spec, value| read_groups(value).map(|groups| spec.groups = Some(groups)),
        get: |spec| show_groups(spec.groups.as_deref()),
        ..PLAIN
    },
    Key {
        name: "umask",
        values: "OCTAL",
        default: "022",
        help: "The permissions which the files it creates do not get.",
        set: |spec, value| store(&mut spec.umask, value, read_umask),
        get: |spec| show_umask(spec.umask),
        ..PLAIN
    },
    Key {
        name: "env",
        repeats: true,
        values: "NAME=VALUE",
        help: "A variable of its environment; the value is taken as it stands, quotes and all.",
        set: |spec, value| add_variable(&mut spec.env, value),
        get: |spec| show_env(&spec.env),
        ..PLAIN
    },
    Key {
        name: "type",
        values: "service|oneshot",
        default: "service",
        help: "Whether it is to run for ever, or to do its work once.",
        set: |spec, value| choose(&mut spec.policy.kind, value, KINDS),
        get: |spec| chosen(&spec.policy.kind, KINDS),
        ..PLAIN
    },
    Key {
        name: "restart",
        effect: Effect::Now,
        values: "always|on-failure|never",
        default: "always",
        help: "When it is started again after it ended by itself.",
        set: |spec, value| choose(&mut spec.policy.restart, value, RESTARTS),
        get: |spec| chosen(&spec.policy.restart, RESTARTS),
        ..PLAIN
    },
    Key {
        name: "success",
        repeats: true,
        effect: Effect::Now,
        values: "STATUS|SIGNAL...",
        default: "0",
        help: "The exit statuses and signals which are no failure.",
        set: |spec, value| add_success(&mut spec.policy.success, value),
        get: |spec| show_success(&spec.policy.success),
        clear: |spec| spec.policy.success = Box::default(),
    },
    Key {
        name: "min-uptime",
        effect: Effect::Now,
        values: "DURATION",
        default: "5s",
        help: "A run shorter than this is a strike and leads to quarantine.",
        set: |spec, value| store(&mut spec.policy.min_uptime, value, read_duration),
        get: |spec| show_duration(spec.policy.min_uptime),
        ..PLAIN
    },
    Key {
        name: "backoff",
        effect: Effect::Now,
        values: "DURATION",
        default: "1s",
        help: "The first quarantine of a row; each further one is twice as long.",
        set: |spec, value| store(&mut spec.policy.backoff, value, read_backoff),
        get: |spec| show_duration(spec.policy.backoff),
        ..PLAIN
    },
    Key {
        name: "backoff-max",
        effect: Effect::Now,
        values: "DURATION",
        default: "5m",
        help: "No quarantine gets longer than this.",
        set: |spec, value| store(&mut spec.policy.backoff_max, value, read_backoff),
        get: |spec| show_duration(spec.policy.backoff_max),
        ..PLAIN
    },
    Key {
        name: "jitter",
        effect: Effect::Now,
        values: "PERCENT",
        default: "10",
        help: "By how much a quarantine is made longer or shorter at random, so that many \
               services do not come back at the same moment.",
        set: |spec, value| store(&mut spec.policy.jitter, value, read_percent),
        get: |spec| spec.policy.jitter.to_string(),
        ..PLAIN
    },
    Key {
        name: "strikes",
        effect: Effect::Now,
        values: "COUNT",
        default: "0",
        help: "It is given up after so many strikes in a row; 0 is never.",
        set: |spec, value| store(&mut spec.policy.strikes, value, read_strikes),
        get: |spec| spec.policy.strikes.to_string(),
        ..PLAIN
    },
    Key {
        name: "burst",
        effect: Effect::Now,
        values: "DEATHS/DURATION|none",
        default: "10/60s",
        help: "So many deaths within so long a time of running are a strike, however long each \
               run was.",
        set: |spec, value| store(&mut spec.policy.burst, value, read_burst),
        get: |spec| show_burst(spec.policy.burst),
        ..PLAIN
    },
    Key {
        name: "stop",
        effect: Effect::Now,
        values: "SIGNAL [DURATION]...",
        default: "TERM 10s KILL",
        help: "The signals that stop it, and how long to wait after each; KILL is always last.",
        set: |spec, value| read_stop(value).map(|steps| spec.policy.stop = steps),
        get: |spec| show_stop(&spec.policy.stop),
        ..PLAIN
    },
    Key {
        name: "kill",
        effect: Effect::Now,
        values: "group|process|all",
        default: "group",
        help: "Who gets these signals: its process group, its main process alone, or every \
               descendant; KILL always reaches all.",
        set: |spec, value| choose(&mut spec.policy.kill, value, WHOMS),
        get: |spec| chosen(&spec.policy.kill, WHOMS),
        ..PLAIN
    },
    Key {
        name: "stdin",
        values: "null|inherit|file:PATH",
        default: "null",
        help: "Where it reads from.",
        set: |spec, value| {
            read_stream(value, &["null", "inherit", "file:PATH"]).map(|to| spec.stdin = to)
        },
        get: |spec| show_stream(&spec.stdin),
        ..PLAIN
    },
    Key {
        name: "stdout",
        values: "inherit|null|file:PATH",
        default: "inherit",
        help: "Where its output goes; a file is appended to.",
        set: |spec, value| {
            read_stream(value, &["inherit", "null", "file:PATH"]).map(|to| spec.stdout = to)
        },
        get: |spec| show_stream(&spec.stdout),
        ..PLAIN
    },
    Key {
        name: "stderr",
        values: "inherit|null|stdout|file:PATH",
        default: "inherit",
        help: "Where its errors go.",
        set: |spec, value| {
            read_stream(value, &["inherit", "null", "stdout", "file:PATH"])
                .map(|to| spec.stderr = to)
        },
        get: |spec| show_stream(&spec.stderr),
        ..PLAIN
    },
    Key {
        name: "tag",
        repeats: true,
        effect: Effect::Now,
        values: "NAME...",
        default: "",
        help: "Groups it belongs to, each of which can be commanded as @NAME.",
        set: |spec, value| add_tags(&mut spec.tags, value),
        get: |spec| spec.tags.join(" "),
        clear: |spec| spec.tags.clear(),
    },
    Key {
        name: "control",
        repeats: true,
        effect: Effect::Now,
        values: "USER|@GROUP...",
        default: "",
        help: "Who else may command it; root, going's own user and its user always may.",
        set: |spec, value| add_controllers(&mut spec.control, value),
        get: |spec| spec.control.join(" "),
        clear: |spec| spec.control.clear(),
    },
    Key {
        name: "description",
        effect: Effect::Now,
        values: "TEXT",
        help: "One line for people.",
        set: |spec, value| read_description(value).map(|text| spec.description = text),
        get: |spec| spec.description.clone(),
        ..PLAIN
    },
];

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The names of all keys.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    KEYS.iter().map(|key| key.name)
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
    for key in &KEYS {
        if (key.get)(old) != (key.get)(new) {
            match key.effect {
                Effect::Now => differences.now.push(key.name),
                Effect::Restart => differences.restart.push(key.name),
            }
        }
    }
    differences
}

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

    use super::*;

    /// Values of every key that differ from its default, as `get` writes them.
    const OTHERS: [(&str, &str); 24] = [
        ("cmd", "/bin/sh -c 'exec a'"),
        ("cwd", "/tmp"),
        ("user", "nobody"),
        ("group", "65534"),
        ("groups", "adm 4"),
        ("umask", "077"),
        ("env", "A= b"),
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
        ("stdin", "file:/dev/zero"),
        ("stdout", "file:/tmp/out"),
        ("stderr", "stdout"),
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
        for key in &KEYS {
            let spec = Spec::default();
            let expected = (key.get)(&spec);
            if key.default.is_empty() {
                assert_eq!(expected, "", "{}", key.name);
            } else {
                assert_eq!((key.get)(&changed(key.name, key.default)), expected, "{}", key.name);
            }
        }
    }

    #[test]
    fn every_key_reads_what_it_writes_and_touches_no_other() {
        assert!(names().eq(OTHERS.map(|(name, _)| name)));
        for (name, value) in OTHERS {
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
            KEYS.iter().filter(|key| key.effect == Effect::Now).map(|key| key.name).collect();
        let expected = "restart success min-uptime backoff backoff-max jitter strikes burst stop \
                        kill tag control description";
        assert_eq!(now.join(" "), expected);
    }

    #[test]
    fn lists_get_longer_and_env_keeps_its_defaults() {
        let repeating: Vec<&str> =
            KEYS.iter().filter(|key| key.repeats).map(|key| key.name).collect();
        assert_eq!(repeating, ["env", "success", "tag", "control"]);
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
        for key in &KEYS {
            assert!(key.help.ends_with('.') && !key.help.contains("  "), "{}", key.name);
            assert!(!key.values.is_empty(), "{}", key.name);
            let is_dashed = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(!key.name.is_empty() && key.name.bytes().all(is_dashed), "{}", key.name);
            assert_eq!(names().filter(|name| *name == key.name).count(), 1, "{}", key.name);
        }
    }

    #[test]
    fn every_key_refuses_no_value_and_a_too_long_one() {
        for key in &KEYS {
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
            ("log-size", ""),
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
