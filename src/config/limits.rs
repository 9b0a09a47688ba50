//! The values that say how much a service may take, and before whom. Readers and
//! writers as in `values.rs`.

use super::grammar::show;
use super::values::{Choices, choose, chosen, not_one_of, wrong};
use super::words::{Must, read_count, read_size, show_size};

/// How much a service may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Each at the place of its resource.
    pub resources: [Option<Limit>; RESOURCES.len()],
    /// From -20 to 19 (setpriority(2)).
    pub nice: Option<i8>,
    /// From -1000 to 1000 (proc_pid_oom_score_adj(5)).
    pub oom_score_adj: Option<i16>,
    /// Processors, a bit each, the last word not being 0; empty for all.
    pub cpu_affinity: Vec<u64>,
    /// How the kernel chooses it among those that are ready.
    pub sched: Option<Sched>,
    /// How its reading and writing is chosen.
    pub ionice: Option<Ionice>,
}

/// A soft and a hard limit; `u64::MAX` is none (getrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Not above `hard`.
    pub soft: u64,
    /// Up to which the soft one may be raised.
    pub hard: u64,
}

/// What a limit is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, written as sizes.
    Bytes,
    /// Anything else, written as a number.
    Count,
}

/// The resources by their names in prlimit(1), which are those of getrlimit(2).
pub const RESOURCES: [(&str, Unit); 16] = [
    ("as", Unit::Bytes),
    ("core", Unit::Bytes),
    ("cpu", Unit::Count),
    ("data", Unit::Bytes),
    ("fsize", Unit::Bytes),
    ("locks", Unit::Count),
    ("memlock", Unit::Bytes),
    ("msgqueue", Unit::Bytes),
    ("nice", Unit::Count),
    ("nofile", Unit::Count),
    ("nproc", Unit::Count),
    ("rss", Unit::Bytes),
    ("rtprio", Unit::Count),
    ("rttime", Unit::Count),
    ("sigpending", Unit::Count),
    ("stack", Unit::Bytes),
];

/// sched(7)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sched {
    /// As everybody else.
    Other,
    /// As one that computes and is not waited for.
    Batch,
    /// When nobody else wants to run.
    Idle,
    /// Before all that are not real-time, until it waits; 1 to 99.
    Fifo(u8),
    /// The same in turns with its equals.
    RoundRobin(u8),
}

/// ioprio_set(2); levels are from 0, first, to 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ionice {
    /// Before all others.
    Realtime(u8),
    /// As everybody else.
    BestEffort(u8),
    /// When nobody else reads or writes.
    Idle,
}

/// The classes of `sched=` that have no priority.
const SCHEDS: &Choices<Option<Sched>> =
    &[("other", Some(Sched::Other)), ("batch", Some(Sched::Batch)), ("idle", Some(Sched::Idle))];

/// More processors than that no kernel is built for by anybody.
pub const CPU_MAX: u16 = 1023;

/// What ionice(1) takes when nobody says.
const LEVEL: u8 = 4;

/// Reads `soft` or `soft:hard` of the resource at `index`.
pub fn set_limit(limits: &mut Limits, index: usize, value: &str) -> Result<(), String> {
    let unit = RESOURCES.get(index).map_or(Unit::Count, |&(_, unit)| unit);
    let read = |word| read_bound(word, unit).map_err(|must| wrong(word, must));
    let (soft, hard) = match value.split_once(':') {
        Some((soft, hard)) => (read(soft)?, read(hard)?),
        None => (read(value)?, read(value)?),
    };
    if soft > hard {
        return Err(format!("is {}, but the first must not be above the second", show(value)));
    }
    if let Some(place) = limits.resources.get_mut(index) {
        *place = Some(Limit { soft, hard });
    }
    Ok(())
}

fn read_bound(word: &str, unit: Unit) -> Result<u64, Must> {
    if word == "unlimited" {
        return Ok(u64::MAX);
    }
    match unit {
        Unit::Bytes => read_size(word)
            .map_err(|_| "a size such as 4096, 10K, 1M or 2G, or unlimited; or two of them, 1M:2M"),
        Unit::Count => Some(word)
            .filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|word| word.parse().ok())
            .ok_or("a number or unlimited; or two of them, 100:200"),
    }
}

/// Writes what `set_limit` reads; nothing if there is no such limit.
pub fn show_limit(limits: &Limits, index: usize) -> String {
    let Some(Some(limit)) = limits.resources.get(index) else { return String::new() };
    let unit = RESOURCES.get(index).map_or(Unit::Count, |&(_, unit)| unit);
    let show = |bound| match unit {
        _ if bound == u64::MAX => "unlimited".to_owned(),
        Unit::Bytes => show_size(bound),
        Unit::Count => bound.to_string(),
    };
    if limit.soft == limit.hard {
        show(limit.soft)
    } else {
        format!("{}:{}", show(limit.soft), show(limit.hard))
    }
}

/// Reads a niceness.
pub fn read_nice(word: &str) -> Result<i8, Must> {
    let number = read_signed(word).and_then(|number| i8::try_from(number).ok());
    number.filter(|number| (-20..=19).contains(number)).ok_or("a number from -20 to 19")
}

/// Reads what is added to the badness of a process.
pub fn read_oom_score(word: &str) -> Result<i16, Must> {
    let number = read_signed(word).filter(|number| (-1000..=1000).contains(number));
    number.ok_or("a number from -1000 to 1000")
}

/// A short number, maybe with a minus.
fn read_signed(word: &str) -> Option<i16> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { word.parse().ok() } else { None }
}

/// Reads processors such as `0-3,6`.
pub fn read_affinity(word: &str) -> Result<Vec<u64>, Must> {
    const FORM: Must = "processors such as 0 or 0-3,6, none above 1023";
    let read = |word| read_count(word).and_then(|count| u16::try_from(count).ok());
    let mut mask = Vec::new();
    for part in word.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (read(first).ok_or(FORM)?, read(last).ok_or(FORM)?);
        if first > last || last > CPU_MAX {
            return Err(FORM);
        }
        let words = usize::from(last / 64).saturating_add(1);
        mask.resize(words.max(mask.len()), 0);
        for number in first..=last {
            if let Some(word) = mask.get_mut(usize::from(number / 64)) {
                *word |= 1 << (number % 64);
            }
        }
    }
    Ok(mask)
}

/// Writes what `read_affinity` reads, as ranges that do not touch.
pub fn show_affinity(mask: &[u64]) -> String {
    let has = |number: u16| {
        mask.get(usize::from(number / 64)).is_some_and(|word| word >> (number % 64) & 1 == 1)
    };
    let mut text = String::new();
    let mut number = 0;
    while number <= CPU_MAX {
        let first = number;
        while has(number) {
            number = number.saturating_add(1);
        }
        if number > first {
            text.push_str(if text.is_empty() { "" } else { "," });
            text.push_str(&first.to_string());
        }
        if number > first.saturating_add(1) {
            text.push('-');
            text.push_str(&number.saturating_sub(1).to_string());
        }
        number = number.saturating_add(1);
    }
    text
}

/// Reads a scheduling policy, `fifo` and `rr` with a priority.
pub fn set_sched(place: &mut Option<Sched>, value: &str) -> Result<(), String> {
    let Some((class, priority)) = value.split_once(':') else {
        if value == "fifo" || value == "rr" {
            return Err(wrong(value, &format!("{value}:PRIORITY, a number from 1 to 99")));
        }
        return choose(place, value, SCHEDS).map_err(|_| {
            not_one_of(value, ["other", "batch", "idle", "fifo:50", "rr:50"].into_iter())
        });
    };
    let priority = read_count(priority).and_then(|it| u8::try_from(it).ok());
    *place = match (class, priority) {
        ("fifo", Some(priority @ 1..=99)) => Some(Sched::Fifo(priority)),
        ("rr", Some(priority @ 1..=99)) => Some(Sched::RoundRobin(priority)),
        _ => return Err(wrong(value, "fifo: or rr: and a number from 1 to 99")),
    };
    Ok(())
}

/// Writes what `set_sched` reads.
pub fn show_sched(sched: Option<Sched>) -> String {
    match sched {
        None => String::new(),
        Some(Sched::Fifo(priority)) => format!("fifo:{priority}"),
        Some(Sched::RoundRobin(priority)) => format!("rr:{priority}"),
        plain @ Some(Sched::Other | Sched::Batch | Sched::Idle) => chosen(&plain, SCHEDS),
    }
}

/// Reads a class of input and output, with a level or without.
pub fn read_ionice(word: &str) -> Result<Ionice, Must> {
    const FORM: Must = "idle, best-effort or realtime, these two maybe with a level from :0 to :7";
    let (class, level) = match word.split_once(':') {
        Some((class, level)) => (class, Some(read_count(level).ok_or(FORM)?)),
        None => (word, None),
    };
    let level = level.map(|it| u8::try_from(it).ok().filter(|&it| it <= 7).ok_or(FORM));
    match (class, level.transpose()?) {
        ("idle", None) => Ok(Ionice::Idle),
        ("best-effort", level) => Ok(Ionice::BestEffort(level.unwrap_or(LEVEL))),
        ("realtime", level) => Ok(Ionice::Realtime(level.unwrap_or(LEVEL))),
        _ => Err(FORM),
    }
}

/// Writes what `read_ionice` reads.
pub fn show_ionice(ionice: Option<Ionice>) -> String {
    match ionice {
        None => String::new(),
        Some(Ionice::Idle) => "idle".into(),
        Some(Ionice::BestEffort(level)) => format!("best-effort:{level}"),
        Some(Ionice::Realtime(level)) => format!("realtime:{level}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &str, value: &str) -> Result<String, String> {
        let index = RESOURCES.iter().position(|(it, _)| *it == name).unwrap();
        let mut limits = Limits::default();
        set_limit(&mut limits, index, value)?;
        assert_eq!(limits.resources.iter().flatten().count(), 1);
        Ok(show_limit(&limits, index))
    }

    #[test]
    fn limits_are_sizes_or_numbers_and_may_be_two() {
        for (name, value, expected) in [
            ("nofile", "1024", "1024"),
            ("nofile", "1024:1024", "1024"),
            ("nofile", "1024:4096", "1024:4096"),
            ("nofile", "0:unlimited", "0:unlimited"),
            ("core", "unlimited", "unlimited"),
            ("as", "1024M:2G", "1G:2G"),
            ("stack", "8388608", "8M"),
        ] {
            assert_eq!(limit(name, value).as_deref(), Ok(expected), "{name}={value}");
        }
        for (name, value) in [
            ("nofile", "1K"),
            ("nofile", "-1"),
            ("nofile", "+1"),
            ("nofile", "1:"),
            ("nofile", ":1"),
            ("nofile", "1:2:3"),
            ("nofile", ""),
            ("core", "1X"),
            ("core", "infinity"),
        ] {
            assert!(limit(name, value).unwrap_err().contains("unlimited; or two"), "{value}");
        }
        for value in ["2:1", "unlimited:5"] {
            assert!(limit("nproc", value).unwrap_err().contains("must not be above"), "{value}");
        }
    }

    #[test]
    fn numbers_with_a_sign_have_bounds() {
        assert_eq!((read_nice("-20"), read_nice("19"), read_nice("0")), (Ok(-20), Ok(19), Ok(0)));
        for word in ["", "-", "+5", "20", "-21", "--1", "5.0", "256"] {
            assert!(read_nice(word).is_err(), "{word}");
        }
        assert_eq!((read_oom_score("-1000"), read_oom_score("1000")), (Ok(-1000), Ok(1000)));
        assert!(read_oom_score("1001").is_err() && read_oom_score("-1001").is_err());
    }

    #[test]
    fn processors_are_ranges_that_do_not_touch() {
        for (word, expected) in
            [("0", "0"), ("3,1,2", "1-3"), ("0-3,2-5,7", "0-5,7"), ("1023", "1023"), ("5-5", "5")]
        {
            assert_eq!(read_affinity(word).map(|it| show_affinity(&it)), Ok(expected.into()));
        }
        for word in ["", ",", "1,", "3-1", "1024", "a", "-1", "1-", "0-1-2", "65536"] {
            assert!(read_affinity(word).is_err(), "{word}");
        }
    }

    #[test]
    fn classes_have_priorities_where_the_kernel_has_them() {
        for (value, expected) in [("other", "other"), ("batch", "batch"), ("idle", "idle")] {
            let mut sched = None;
            assert_eq!(set_sched(&mut sched, value), Ok(()));
            assert_eq!(show_sched(sched), expected);
        }
        for value in ["fifo:1", "rr:99"] {
            let mut sched = None;
            assert_eq!(set_sched(&mut sched, value), Ok(()));
            assert_eq!(show_sched(sched), value);
        }
        for value in ["", "fifo", "rr", "fifo:0", "rr:100", "idle:1", "rr:256", "deadline"] {
            assert!(set_sched(&mut None, value).is_err(), "{value}");
        }
        for (word, expected) in [
            ("idle", "idle"),
            ("best-effort", "best-effort:4"),
            ("best-effort:0", "best-effort:0"),
            ("realtime:7", "realtime:7"),
        ] {
            assert_eq!(read_ionice(word).map(|it| show_ionice(Some(it))), Ok(expected.into()));
        }
        for word in ["", "idle:1", "best-effort:8", "realtime:", "none", "2"] {
            assert!(read_ionice(word).is_err(), "{word}");
        }
    }
}
