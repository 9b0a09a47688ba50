//! From a text to a spec, or to everything that is wrong with it. A file is
//! taken whole or not at all: half a spec would be a service nobody wrote.

use super::changes::Reaction;
use super::grammar::{self, Line, show, trim};
use super::keys::{find, names};
use super::listen;
use super::minding;
use super::nearest::nearest;
use super::ready;
use super::spec::Spec;
use super::values::hint;
use super::words::show_duration;

/// More complaints about one file help nobody, and each costs memory: a picture
/// among the service files has a wrong line every few bytes.
const COMPLAINTS_MAX: usize = 100;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Counted from 1; 0 when it is about the whole file.
    pub line: u32,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The keys met so far and the line of each one's first time.
type Seen = Vec<(&'static str, u32)>;

/// Makes a spec of the text of a service file, on top of `defaults`. Complaints
/// come in the order of their lines.
pub fn parse(text: &[u8], defaults: &Spec) -> Result<Spec, Vec<Complaint>> {
    let mut spec = defaults.clone();
    let mut seen = Seen::new();
    let mut complaints = Vec::new();
    for line in grammar::lines(text) {
        let outcome = line.and_then(|line| {
            let complain = |message| Complaint { line: line.number, message };
            read_line(&mut spec, &mut seen, &line).map_err(complain)
        });
        if let Err(mut complaint) = outcome {
            if complaints.len() == COMPLAINTS_MAX {
                complaint.message = "and more that is wrong, not shown".into();
                complaints.push(complaint);
                return Err(complaints);
            }
            complaints.push(complaint);
        }
    }
    check_whole(text, &spec, &seen, &mut complaints);
    if complaints.is_empty() { Ok(spec) } else { Err(complaints) }
}

fn read_line(spec: &mut Spec, seen: &mut Seen, line: &Line<'_>) -> Result<(), String> {
    let Some(key) = find(line.key) else {
        return Err(unknown(line.key));
    };
    match first_line(seen, key.name) {
        0 => {
            seen.push((key.name, line.number));
            (key.clear)(spec);
        }
        _ if key.repeats => {}
        first => return Err(format!("{}= again, first in line {first}", key.name)),
    }
    key.apply(spec, line.value)
}

fn unknown(key: &str) -> String {
    hint(format!("unknown key {}", show(key)), nearest(key, names()))
}

fn first_line(seen: &Seen, key: &str) -> u32 {
    seen.iter().find(|(name, _)| *name == key).map_or(0, |(_, line)| *line)
}

/// What no single line can tell.
fn check_whole(text: &[u8], spec: &Spec, seen: &Seen, complaints: &mut Vec<Complaint>) {
    // A cmd= line that was complained about is there nevertheless.
    if spec.cmd.is_empty() && line_of(text, "cmd") == 0 {
        complaints.insert(0, Complaint { line: 0, message: "no cmd= line".into() });
    }
    check_reaction(spec, seen, complaints);
    check_every(spec, seen, complaints);
    let (least, most) = (first_line(seen, "backoff"), first_line(seen, "backoff-max"));
    // A value that could not be read is still the default, and would be
    // compared with something the operator never meant it to meet.
    let is_read = |line| line == 0 || complaints.iter().all(|complaint| complaint.line != line);
    if spec.policy.backoff_max < spec.policy.backoff && is_read(least) && is_read(most) {
        let line = if most > 0 { most } else { least };
        let message = format!(
            "backoff-max= is {}, but must be at least backoff=, which is {}",
            show(&show_duration(spec.policy.backoff_max)),
            show(&show_duration(spec.policy.backoff)),
        );
        add_in_order(complaints, line, message);
    }
    let ready = ready::check_ready(spec).map(|message| ("ready", message));
    for wrong in listen::check_together(spec).into_iter().chain(ready) {
        check_sockets(text, seen, wrong, complaints);
    }
}

/// Keys that make no sense together.
fn check_sockets(
    text: &[u8],
    seen: &Seen,
    (key, message): (&'static str, &str),
    complaints: &mut Vec<Complaint>,
) {
    // A line that was complained about need not be told what else it lacks.
    if is_read_in(text, complaints, "listen") && is_read_in(text, complaints, key) {
        add_in_order(complaints, first_line(seen, key), message.into());
    }
}

/// Whether no line of this key was complained about.
fn is_read_in(text: &[u8], complaints: &[Complaint], key: &str) -> bool {
    let line = line_of(text, key);
    line == 0 || complaints.iter().all(|complaint| complaint.line != line)
}

fn add_in_order(complaints: &mut Vec<Complaint>, line: u32, message: String) {
    let place = complaints.partition_point(|complaint| complaint.line <= line);
    complaints.insert(place, Complaint { line, message });
}

/// Nothing is to be sent that is no signal.
fn check_reaction(spec: &Spec, seen: &Seen, complaints: &mut Vec<Complaint>) {
    let line = first_line(seen, "on-watch");
    if spec.changes.reaction == Reaction::Signal && spec.changes.signal.is_none() {
        let message = "on-watch= is \"reload-signal\", but reload-signal= is \"none\"".into();
        let place = complaints.partition_point(|complaint| complaint.line <= line);
        complaints.insert(place, Complaint { line, message });
    }
}

/// Only work that comes to an end is done again and again. What every service has by
/// default counts for those only.
fn check_every(spec: &Spec, seen: &Seen, complaints: &mut Vec<Complaint>) {
    let (line, kind) = (first_line(seen, "every"), first_line(seen, "type"));
    let is_read = complaints.iter().all(|it| it.line != line && (kind == 0 || it.line != kind));
    if let Some(message) = minding::complain(spec).filter(|_| line > 0 && is_read) {
        add_in_order(complaints, line, message);
    }
}

/// Takes `KEY=VALUE` of the command line into the defaults. Each one replaces
/// the default there was, except that of `env`, which gets longer.
pub fn set_default(defaults: &mut Spec, option: &str) -> Result<(), String> {
    let Some((key, value)) = option.split_once('=') else {
        return Err(format!("no \"=\" in {}, but it must be KEY=VALUE", show(option)));
    };
    let Some(key) = find(trim(key)) else {
        return Err(unknown(trim(key)));
    };
    // No file can have it, so nothing behind here reckons with it.
    if value.contains('\n') {
        return Err(format!("{}= has a line end in it", key.name));
    }
    let mut changed = defaults.clone();
    (key.clear)(&mut changed);
    key.apply(&mut changed, trim(value))?;
    *defaults = changed;
    Ok(())
}

/// The first line of `key` in a text, be its value right or wrong; 0 when there
/// is none.
pub fn line_of(text: &[u8], key: &str) -> u32 {
    grammar::line_of(text, key.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::keys;
    use super::super::spec::Success;
    use super::*;

    fn spec(text: &str) -> Spec {
        parse(text.as_bytes(), &Spec::default()).unwrap()
    }

    fn wrong(text: &str) -> Vec<String> {
        let complaints = parse(text.as_bytes(), &Spec::default()).unwrap_err();
        complaints.iter().map(|it| format!("{}: {}", it.line, it.message)).collect()
    }

    fn dump(spec: &Spec) -> String {
        let mut text = String::new();
        for key in keys::all() {
            for value in (key.get)(spec).split('\n').filter(|value| !value.is_empty()) {
                text.push_str(&format!("{}={value}\n", key.name));
            }
        }
        text
    }

    #[test]
    fn command_alone_is_a_service() {
        let expected = Spec { cmd: vec!["sleep".into(), "9".into()], ..Spec::default() };
        assert_eq!(spec("cmd=sleep 9"), expected);
    }

    #[test]
    fn file_without_a_command_is_complained_about_as_a_whole() {
        assert_eq!(wrong(""), ["0: no cmd= line"]);
        assert_eq!(
            wrong("# cmd=x\ncwdd=/"),
            ["0: no cmd= line", "2: unknown key \"cwdd\"; did you mean \"cwd\"?"]
        );
    }

    #[test]
    fn wrong_command_is_not_said_to_be_missing() {
        assert_eq!(wrong("cmd="), ["1: cmd= has no value"]);
        assert_eq!(wrong("cmd=a\0"), ["1: NUL at byte 6 of the line"]);
        assert_eq!(
            wrong(&format!("cmd={}", "x".repeat(65_537))),
            ["1: Value of cmd= is too long (max: 65536)"]
        );
    }

    #[test]
    fn all_complaints_come_in_the_order_of_their_lines() {
        let text = "backoff-max=1s\njitter=101\nbackoff=2s\nfoo\numask=9\ncmd='";
        let lines: Vec<u32> = parse(text.as_bytes(), &Spec::default())
            .unwrap_err()
            .iter()
            .map(|complaint| complaint.line)
            .collect();
        assert_eq!(lines, [1, 2, 4, 5, 6]);
    }

    #[test]
    fn repeated_key_is_an_error_that_names_the_first() {
        assert_eq!(
            wrong("cmd=a\n\ncmd=b\ncmd=a"),
            ["3: cmd= again, first in line 1", "4: cmd= again, first in line 1"]
        );
        assert_eq!(wrong("cmd=\ncmd=b").len(), 2, "the first was a try, too");
    }

    #[test]
    fn list_keys_may_repeat() {
        let spec = spec("env=A=1\ncmd=a\nsuccess=0 2\nenv=B=2\nsuccess=TERM");
        assert_eq!(spec.env, [("A".into(), "1".into()), ("B".into(), "2".into())]);
        assert_eq!(spec.policy.success.len(), 3);
    }

    #[test]
    fn file_replaces_a_default_list_but_adds_to_env() {
        let mut defaults = Spec::default();
        for option in ["env=A=1", "env=B=1", "success=7", "cwd=/tmp"] {
            set_default(&mut defaults, option).unwrap();
        }
        let inherited = parse(b"cmd=a", &defaults).unwrap();
        assert_eq!(inherited.policy.success[..], [Success::Code(7)]);
        assert_eq!(inherited.cwd, "/tmp");
        let own = parse(b"cmd=a\nsuccess=2\nenv=B=2\nsuccess=3", &defaults).unwrap();
        assert_eq!(own.policy.success[..], [Success::Code(2), Success::Code(3)]);
        let env: Vec<String> =
            own.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["A=1", "B=1", "B=2"]);
    }

    #[test]
    fn longest_quarantine_cannot_be_shorter_than_the_first() {
        let text = "backoff-max= is \"500ms\", but must be at least backoff=, which is \"1s\"";
        assert_eq!(wrong("cmd=a\nbackoff-max=500ms"), [format!("2: {text}")]);
        assert_eq!(wrong("cmd=a\nbackoff-max=500ms\nbackoff=1s"), [format!("2: {text}")]);
        assert!(wrong("cmd=a\nbackoff=6m")[0].starts_with("2: backoff-max= is \"5m\""));
        assert_eq!(spec("cmd=a\nbackoff=5m").policy.backoff, spec("cmd=a").policy.backoff_max);
        let mut defaults = Spec::default();
        set_default(&mut defaults, "backoff=10m").unwrap();
        assert_eq!(parse(b"cmd=a", &defaults).unwrap_err()[0].line, 0);
        assert!(parse(b"cmd=a\nbackoff-max=10m", &defaults).is_ok());
    }

    #[test]
    fn wrong_backoff_is_not_compared() {
        assert_eq!(wrong("cmd=a\nbackoff=x\nbackoff-max=1ms").len(), 1);
        assert_eq!(wrong("cmd=a\nbackoff=6m\nbackoff-max=x").len(), 1);
    }

    #[test]
    fn complaints_about_one_file_come_to_an_end() {
        let complaints = wrong(&"x\n".repeat(100_000));
        assert_eq!(complaints.len(), 101);
        assert_eq!(complaints[100], "101: and more that is wrong, not shown");
        // Where the hundredth is the last, nothing is left out.
        let text = format!("cmd=a\n{}", "x\n".repeat(100));
        assert_eq!(wrong(&text).len(), 100);
    }

    #[test]
    fn tail_of_a_long_line_is_not_a_line() {
        let text = format!("# {}cmd=smuggled\ncmd=own", "x".repeat(285));
        assert_eq!(spec(&text).cmd, ["own"]);
        let text = format!("# {} cmd=smuggled\ncmd=own", "x".repeat(70_000));
        assert_eq!(spec(&text).cmd, ["own"]);
    }

    #[test]
    fn options_of_the_command_line_are_checked_like_lines() {
        let mut defaults = Spec::default();
        let mut wrong = |option: &str| set_default(&mut defaults, option).unwrap_err();
        assert_eq!(wrong("cwd"), "no \"=\" in \"cwd\", but it must be KEY=VALUE");
        assert_eq!(wrong("cdw=/"), "unknown key \"cdw\"; did you mean \"cwd\"?");
        assert_eq!(wrong("cwd= "), "cwd= has no value");
        assert_eq!(wrong("cwd=tmp"), "cwd= is \"tmp\", but must be an absolute path");
        assert_eq!(wrong("env=A=1\nB=2"), "env= has a line end in it");
        assert_eq!(wrong("success=0 x"), {
            "success= has \"x\" in it: neither an exit status nor a signal"
        });
        assert_eq!(defaults, Spec::default(), "a refused option must change nothing");
    }

    #[test]
    fn last_option_of_a_key_wins_and_blanks_do_not_matter() {
        let mut defaults = Spec::default();
        for option in [" strikes = 3 ", "strikes=4", "success=1", "success=2"] {
            set_default(&mut defaults, option).unwrap();
        }
        assert_eq!(defaults.policy.strikes, 4);
        assert_eq!(defaults.policy.success[..], [Success::Code(2)]);
    }

    #[test]
    fn line_of_a_key_is_its_first() {
        assert_eq!(line_of(b"\n#cwd=/\nenv=A=1\r\n env =B=2\n", "env"), 3);
        assert_eq!(line_of(b"cmd=a", "env"), 0);
    }

    /// Values most of which belong to one key, in all their spellings.
    const VALUES: [(&str, &[&str]); 12] = [
        ("restart", &["always", "never", "on-failure", "alway"]),
        ("stop", &["TERM 5s KILL", "15 9", "KILL", "RTMIN+3 0 INT", "SIG32", "KILL 1s"]),
        ("burst", &["10/60s", "none", "2/1d1ms", "1/1s"]),
        ("min-uptime", &["0", "1m30s", "36500d", "36501d"]),
        ("backoff", &["1ms", "90s", "1h"]),
        ("success", &["0 2 TERM", "255", "sigio 29", "256"]),
        ("groups", &["none", "a b", "7", "a,b"]),
        ("env", &["A=1", "B= 'b c' ", "_=", "=x"]),
        ("umask", &["0", "0777", "27", "8"]),
        ("stderr", &["stdout", "file:/a b", "null", "inherit", "file:x"]),
        ("description", &["it's \u{e9} \u{a0} = x", "\u{1b}"]),
        ("jitter", &["0", "100%", "101"]),
    ];

    /// Lines that are right, nearly right, and not at all.
    fn any_line() -> impl Strategy<Value = String> {
        let pair = prop::sample::select(VALUES.to_vec()).prop_flat_map(|(name, values)| {
            prop::sample::select(values.to_vec()).prop_map(move |value| format!("{name}={value}"))
        });
        let stray = (prop::sample::select(names().collect::<Vec<_>>()), r"\PC{0,8}");
        prop_oneof![
            30 => pair,
            1 => stray.prop_map(|(name, value)| format!("{name}={value}")),
            1 => r"[ -~]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&text, &Spec::default());
        }

        #[test]
        fn accepted_spec_is_read_again_from_its_canonical_form(
            lines in prop::collection::vec(any_line(), 0..8)
        ) {
            let text = format!("cmd=first\n{}", lines.join("\n"));
            match parse(text.as_bytes(), &Spec::default()) {
                Ok(spec) => {
                    prop_assert_eq!(parse(dump(&spec).as_bytes(), &Spec::default()), Ok(spec));
                }
                Err(complaints) => {
                    let count = u32::try_from(text.lines().count()).unwrap();
                    prop_assert!(!complaints.is_empty());
                    prop_assert!(complaints.is_sorted_by_key(|complaint| complaint.line));
                    prop_assert!(complaints.iter().all(|complaint| complaint.line <= count));
                }
            }
        }
    }
}
