//! Templates and their instances: `web@` is a file of which `web@1` is made, its
//! argument in the place of `%i`. It is put in before anything is read, so that
//! nothing behind here knows of templates, and lines keep their numbers, so that
//! complaints lead to them.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::grammar::{show, trim};
use super::keys::find;
use super::names::{self, Name};
use super::parse::{Complaint, line_of, parse};
use super::spec::Spec;

/// The key that says how many there are of a template.
pub const KEY: &str = "instances";

/// More of one kind than this are a slip of the finger.
pub const COUNT_MAX: u32 = 1000;

/// Takes `web@1` apart into `web@` and `1`; `web@` has an empty argument.
pub fn parts(name: &str) -> Option<(&str, &str)> {
    let at = name.find('@')?;
    name.split_at_checked(at.saturating_add(1))
}

/// Whether a file of this name is a template.
pub fn is_template(name: &str) -> bool {
    names::judge(name.as_bytes()) == Name::Template
}

/// Whether `name` is made of `template`.
pub fn is_of(name: &str, template: &str) -> bool {
    parts(name).is_some_and(|(it, argument)| it == template && !argument.is_empty())
}

/// By template, and then `web@9` before `web@10`.
pub fn order(one: &str, other: &str) -> Ordering {
    let key = |name| {
        let (template, argument) = parts(name).unwrap_or((name, ""));
        (template, argument.len(), argument)
    };
    key(one).cmp(&key(other))
}

/// The text of a service, of an instance with what is special about it put in.
pub struct Made<'a> {
    /// The text itself.
    pub text: Cow<'a, [u8]>,
    /// What is wrong with it as such.
    pub wrong: Vec<Complaint>,
}

/// Makes the text of the service `name` from that of its file.
pub fn make<'a>(name: &str, text: &'a [u8]) -> Made<'a> {
    if parts(name).is_some() {
        let (text, _, wrong) = instantiate(name, text, false);
        return Made { text: Cow::Owned(text), wrong };
    }
    let mut wrong = Vec::new();
    if let line @ 1.. = line_of(text, KEY) {
        let message = format!("{KEY}= is for templates, whose names end with @, as {name}@ does");
        wrong.push(Complaint { line, message });
    }
    Made { text: Cow::Borrowed(text), wrong }
}

impl Made<'_> {
    /// What it says.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(&mut self, defaults: &Spec) -> Result<Spec, Vec<Complaint>> {
        complain(parse(&self.text, defaults), std::mem::take(&mut self.wrong))
    }
}

/// How many instances a template asks for, beside those that have files.
///
/// # Errors
/// What is wrong with it; without a number of instances, only what is so whatever
/// their arguments are.
pub fn count(name: &str, text: &[u8], defaults: &Spec) -> Result<u32, Vec<Complaint>> {
    let (sample, varied, wrong) = instantiate(&format!("{name}1"), text, true);
    let read = parse(&sample, defaults).map(|spec| spec.instances).or_else(|mut complaints| {
        // Where nobody asks for the first one, it may make no sense.
        if line_of(text, KEY) == 0 && defaults.instances == 0 {
            complaints.retain(|it| !varied.contains(&it.line));
        }
        if complaints.is_empty() { Ok(0) } else { Err(complaints) }
    });
    complain(read, wrong)
}

fn complain<T>(
    read: Result<T, Vec<Complaint>>,
    mut wrong: Vec<Complaint>,
) -> Result<T, Vec<Complaint>> {
    match read {
        Ok(read) if wrong.is_empty() => return Ok(read),
        Ok(_) => {}
        Err(complaints) => wrong.extend(complaints),
    }
    wrong.sort_by_key(|it| it.line);
    Err(wrong)
}

/// The text of an instance, which lines differ from instance to instance, and what
/// is wrong with them. What is no instance's business leaves an empty line, so
/// that a change of it changes no instance.
fn instantiate(name: &str, text: &[u8], is_sample: bool) -> (Vec<u8>, Vec<u32>, Vec<Complaint>) {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let (mut made, mut varied, mut wrong) = (Vec::with_capacity(text.len()), Vec::new(), vec![]);
    for (raw, line) in text.split_inclusive(|&byte| byte == b'\n').zip(1_u32..) {
        let end = if raw.ends_with(b"\n") { &b"\n"[..] } else { b"" };
        let line_text = std::str::from_utf8(raw).unwrap_or("");
        let is_comment = trim(line_text).starts_with('#');
        let is_odd = line_text.trim_end().contains(['\0', '\r']);
        let (key, value) = match line_text.split_once('=') {
            Some((key, value)) if trim(key) == KEY && !is_sample => {
                // A link to a template that is refused is to be refused, too.
                let value = trim(value.trim_end_matches(['\r', '\n']));
                let message = find(KEY).and_then(|it| it.apply(&mut Spec::default(), value).err());
                wrong.extend(message.map(|message| Complaint { line, message }));
                made.extend_from_slice(end);
                continue;
            }
            _ if is_comment && !is_odd => {
                made.extend_from_slice(end);
                continue;
            }
            Some(pair) if !is_comment => pair,
            // It is complained about when it is read.
            _ => {
                made.extend_from_slice(raw);
                continue;
            }
        };
        made.extend_from_slice(key.as_bytes());
        made.push(b'=');
        match put_in(&mut made, name, value) {
            Ok(true) => varied.push(line),
            Ok(false) => {}
            Err(stray) => {
                let (key, stray) = (show(trim(key)), show(&stray));
                let key = key.trim_matches('"');
                let message = format!(
                    "{key}= has {stray} in it; in the file of a template or an instance it \
                     must be %i, %n, or %% for a per cent sign"
                );
                wrong.push(Complaint { line, message });
            }
        }
    }
    (made, varied, wrong)
}

/// Adds a value, the name and the argument put in; whether there was any place for
/// them. Fails with what stands where neither belongs.
fn put_in(made: &mut Vec<u8>, name: &str, value: &str) -> Result<bool, String> {
    let argument = parts(name).map_or("", |(_, argument)| argument);
    let (mut rest, mut is_varied) = (value, false);
    while let Some((before, after)) = rest.split_once('%') {
        made.extend_from_slice(before.as_bytes());
        let letter = after.chars().next().filter(|letter| !letter.is_whitespace());
        match letter {
            Some('i') => made.extend_from_slice(argument.as_bytes()),
            Some('n') => made.extend_from_slice(name.as_bytes()),
            Some('%') => made.push(b'%'),
            _ => {
                made.extend_from_slice(after.as_bytes());
                return Err(['%'].into_iter().chain(letter).collect());
            }
        }
        is_varied |= letter != Some('%');
        // All three have one byte.
        rest = after.get(1..).unwrap_or("");
    }
    made.extend_from_slice(rest.as_bytes());
    Ok(is_varied)
}

/// Reads how many instances there are to be.
pub fn read_count(word: &str) -> Result<u32, &'static str> {
    let count = super::words::read_count(word).filter(|count| *count <= COUNT_MAX);
    count.ok_or("a number of instances up to 1000")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(name: &str, text: &str) -> Result<(String, Spec), Vec<String>> {
        let mut made = make(name, text.as_bytes());
        let spec = made.read(&Spec::default()).map_err(shown)?;
        Ok((String::from_utf8(made.text.into_owned()).unwrap(), spec))
    }

    fn shown(complaints: Vec<Complaint>) -> Vec<String> {
        complaints.iter().map(|it| format!("{}: {}", it.line, it.message)).collect()
    }

    fn counted(text: &str) -> Result<u32, Vec<String>> {
        count("web@", text.as_bytes(), &Spec::default()).map_err(shown)
    }

    #[test]
    fn names_are_taken_apart_at_the_first_at_sign() {
        assert_eq!(parts("web"), None);
        assert_eq!(parts("web@"), Some(("web@", "")));
        assert_eq!(parts("web@1"), Some(("web@", "1")));
        assert_eq!(parts("web@a@b"), Some(("web@", "a@b")));
        assert!(is_of("web@1", "web@") && is_of("web@a@b", "web@"));
        assert!(!is_of("web@", "web@") && !is_of("web", "web@") && !is_of("web@1", "web@1"));
    }

    #[test]
    fn instances_are_in_the_order_of_their_numbers() {
        let mut names = ["web@10", "web@9", "db", "web@1", "web", "web@x", "web@"];
        names.sort_by(|one, other| order(one, other));
        assert_eq!(names, ["db", "web", "web@", "web@1", "web@9", "web@x", "web@10"]);
    }

    #[test]
    fn argument_and_name_are_put_into_all_values() {
        let text = "cmd=run '%i' --as %n 100%%i\nuser=u%i\ntag=a t%i\ninstances=3\n# %i %x\n";
        let (made, spec) = read("web@7", text).unwrap();
        assert_eq!(made, "cmd=run '7' --as web@7 100%i\nuser=u7\ntag=a t7\n\n\n");
        assert_eq!(spec.cmd, ["run", "7", "--as", "web@7", "100%i"]);
        assert_eq!((spec.user.as_deref(), spec.instances), (Some("u7"), 0));
    }

    #[test]
    fn a_plain_file_keeps_its_per_cent_signs() {
        let text = "cmd=date +%i%n%%%H\njitter=5%\n";
        let (made, spec) = read("web", text).unwrap();
        assert_eq!(made, text);
        assert_eq!(spec.cmd, ["date", "+%i%n%%%H"]);
    }

    #[test]
    fn what_is_no_place_for_an_argument_is_complained_about_in_its_line() {
        let must = "in the file of a template or an instance it must be %i, %n, or %% for a per \
                    cent sign";
        let expected = vec![
            format!("1: cmd= has \"%H\" in it; {must}"),
            "2: unknown key \"usr\"; did you mean \"user\"?".to_owned(),
            format!("3: jitter= has \"%\" in it; {must}"),
        ];
        let text = "cmd=date +%H\nusr=%i\njitter=5%\n";
        assert_eq!(read("web@1", text), Err(expected.clone()));
        let sample: Vec<_> = expected.iter().filter(|it| !it.starts_with('2')).cloned().collect();
        assert_eq!(counted(text), Err(sample), "each instance is told so itself");
        assert_eq!(counted(&format!("{text}instances=1")), Err(expected));
    }

    #[test]
    fn a_plain_file_has_no_instances() {
        assert_eq!(read("web", "cmd=a\ninstances=2\n").map(|it| it.0), {
            let must = "instances= is for templates, whose names end with @, as web@ does";
            Err(vec![format!("2: {must}")])
        });
    }

    #[test]
    fn a_template_says_how_many_there_are_of_it() {
        assert_eq!(counted("cmd=a"), Ok(0));
        assert_eq!(counted("cmd=a\ninstances=4"), Ok(4));
        let must = "must be a number of instances up to 1000";
        for wrong in ["1001", "-1", "x", "1.5"] {
            let expected = vec![format!("2: instances= is \"{wrong}\", but {must}")];
            assert_eq!(counted(&format!("cmd=a\ninstances={wrong}")), Err(expected));
        }
        let again = counted("instances=1\ncmd=a\ninstances=2").unwrap_err();
        assert_eq!(again, ["3: instances= again, first in line 1"]);
    }

    #[test]
    fn an_argument_that_nobody_asked_for_is_not_complained_about() {
        assert_eq!(counted("cmd=a\ncwd=%i"), Ok(0), "another may be a path");
        assert_eq!(counted("cmd=a\ncwd=%i\ninstances=1").unwrap_err().len(), 1);
        assert_eq!(counted("cwd=%i"), Err(vec!["0: no cmd= line".to_owned()]));
    }

    proptest! {
        #[test]
        fn lines_keep_their_numbers(text in r"([a-z#=%in \r]{0,8}\n){0,6}[a-z=%in]{0,4}") {
            let (made, _, _) = instantiate("web@1", text.as_bytes(), false);
            let count = |text: &[u8]| text.iter().filter(|&&byte| byte == b'\n').count();
            prop_assert_eq!(count(&made), count(text.as_bytes()));
        }

        #[test]
        fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = make("web@1", &text).read(&Spec::default());
            let _ = count("web@", &text, &Spec::default());
        }
    }
}
