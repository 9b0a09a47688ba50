//! What only some services ask for beyond a command that is kept running: what
//! comes before and after it, and when it counts as started.

use std::ops::Deref;
use std::time::Duration;

use super::grammar::show;
use super::minding::Minding;
use super::ready::Ready;
use super::template::is_name;
use super::values::{Choices, read_path, wrong};

/// The part of it by which the supervisor decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Care {
    /// Whether there is something to be run before it.
    pub setup: bool,
    /// Whether there is something to be run after it.
    pub finish: bool,
    /// When it is ready.
    pub ready: Ready,
    /// How long it, or its setup, may take to be.
    pub start_timeout: Duration,
    /// How long its finish may take.
    pub finish_timeout: Duration,
    /// What is to be minded of it.
    pub minding: Minding,
    /// Which hooks there are, a `Hook` each.
    pub hooks: [bool; 3],
    /// So often it says that it is well, if it is to do so.
    pub watchdog: Option<Duration>,
}

static USUAL: Care = Care {
    setup: false,
    finish: false,
    ready: Ready::Exec,
    start_timeout: Duration::from_secs(90),
    finish_timeout: Duration::from_secs(30),
    minding: Minding::NONE,
    hooks: [false; 3],
    watchdog: None,
};

impl Care {
    /// Whether it is listened to what it says, as sd_notify(3) does.
    pub fn is_heard(&self) -> bool {
        self.ready == Ready::Notify || self.watchdog.is_some()
    }
}

/// It takes no room where nothing of it is asked for.
#[derive(Debug, Clone, Default)]
pub struct HeldCare(Option<Box<Care>>);

impl HeldCare {
    /// To be changed.
    pub fn make(&mut self) -> &mut Care {
        self.0.get_or_insert_with(|| Box::new(USUAL.clone()))
    }
}

impl Deref for HeldCare {
    type Target = Care;

    fn deref(&self) -> &Care {
        self.0.as_deref().unwrap_or(&USUAL)
    }
}

impl PartialEq for HeldCare {
    fn eq(&self, other: &HeldCare) -> bool {
        **self == **other
    }
}

impl Eq for HeldCare {}

/// What must be so for a service to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Whether it must not be so.
    pub is_not: bool,
    /// What is looked for.
    pub test: Test,
    /// Where: a path, or the name of a variable.
    pub what: String,
}

/// What a condition looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// There is something.
    Path,
    /// There is a directory.
    Directory,
    /// There is a file that is not empty, or a directory with something in it.
    Nonempty,
    /// Going's own environment has it, and it is not empty.
    Variable,
}

const TESTS: &Choices<Test> = &[
    ("path", Test::Path),
    ("dir", Test::Directory),
    ("nonempty", Test::Nonempty),
    ("env", Test::Variable),
];

/// More of them would be a program, which is what `setup` is for.
pub const CONDITIONS_MAX: usize = 64;

/// One condition more.
pub fn add_condition(conditions: &mut Vec<Condition>, value: &str) -> Result<(), String> {
    let (is_not, text) = match value.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let must = "path:PATH, dir:PATH, nonempty:PATH or env:NAME, with a \"!\" before it for not";
    let found = text.split_once(':').and_then(|(word, what)| {
        let test = TESTS.iter().find(|(known, _)| *known == word)?.1;
        Some((test, what))
    });
    let Some((test, what)) = found else { return Err(wrong(value, must)) };
    if test == Test::Variable && !is_name(what) {
        return Err(format!("has {} for the name of a variable", show(what)));
    }
    if test != Test::Variable {
        read_path(what).map_err(|must| wrong(what, must))?;
    }
    if conditions.len() == CONDITIONS_MAX {
        return Err(format!("is one too many: there may be {CONDITIONS_MAX}"));
    }
    conditions.push(Condition { is_not, test, what: what.to_owned() });
    Ok(())
}

/// Writes a condition as it is read.
pub fn show_condition(condition: &Condition) -> String {
    let not = if condition.is_not { "!" } else { "" };
    let word = TESTS.iter().find(|(_, test)| *test == condition.test).map_or("", |it| it.0);
    format!("{not}{word}:{}", condition.what)
}

/// Writes one a line.
pub fn show_conditions(conditions: &[Condition]) -> String {
    conditions.iter().map(show_condition).collect::<Vec<_>>().join("\n")
}

/// A time that something gets, so not none at all.
pub fn read_timeout(word: &str) -> Result<Duration, super::words::Must> {
    super::values::read_backoff(word)
}

/// How long it may be silent, if it may not be for ever.
pub fn read_watchdog(word: &str) -> Result<Option<Duration>, super::words::Must> {
    if word == "none" { Ok(None) } else { read_timeout(word).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Vec<Condition>, String> {
        let mut conditions = Vec::new();
        add_condition(&mut conditions, value).map(|()| conditions)
    }

    #[test]
    fn conditions_are_read_as_they_are_written() {
        for value in
            ["path:/a b", "!path:/a", "dir:/", "!dir:/x:y", "nonempty:/etc/motd", "env:A_1"]
        {
            assert_eq!(show_conditions(&read(value).unwrap()), value);
        }
    }

    #[test]
    fn wrong_conditions_say_what_would_be_right() {
        for value in ["", "path", "/a", "paht:/a", "!!path:/a"] {
            assert!(read(value).unwrap_err().contains("must be path:PATH, dir:PATH"), "{value}");
        }
        assert_eq!(read("path:a").unwrap_err(), "is \"a\", but must be an absolute path");
        assert_eq!(read("env:A=1").unwrap_err(), "has \"A=1\" for the name of a variable");
        let mut many = vec![read("path:/").unwrap().remove(0); CONDITIONS_MAX];
        assert!(add_condition(&mut many, "path:/").is_err());
    }

    #[test]
    fn care_that_asks_for_nothing_is_as_good_as_none() {
        let mut made = HeldCare::default();
        made.make().setup = false;
        assert_eq!(made, HeldCare::default());
        made.make().setup = true;
        assert_ne!(made, HeldCare::default());
    }
}
