//! The values of a service's control group: how much of the machine all of its
//! processes together may take. Readers and writers as in `values.rs`; what they
//! become in a kernel's files is decided where the machine is known.

use super::grammar::blank_separated;
use super::values::{Choices, wrong};
use super::words::{Must, read_count, read_size, show_size};

/// What a service's control group is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// Whether it has one.
    pub wish: Wish,
    /// Beyond it, processes are killed.
    pub memory_max: Option<Memory>,
    /// Beyond it, they are slowed down and have to give memory back.
    pub memory_high: Option<Memory>,
    /// So much time of a processor within a period.
    pub cpu_max: Option<CpuMax>,
    /// The share of the processors when there are not enough, 1 to 10000.
    pub cpu_weight: Option<u32>,
    /// So many processes and threads.
    pub pids_max: Option<u32>,
}

/// Whether a service gets a control group of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wish {
    /// If it has a use for one, and there are any.
    #[default]
    Auto,
    /// It does not run without.
    Yes,
    /// Never.
    No,
}

/// `cgroup=`
pub const WISHES: &Choices<Wish> = &[("auto", Wish::Auto), ("yes", Wish::Yes), ("no", Wish::No)];

/// An amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// At least 1.
    Bytes(u64),
    /// Of what the machine has, 1 to 100.
    Percent(u8),
}

/// In microseconds, as the kernel counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuMax {
    /// At least a millisecond.
    pub quota: u32,
    /// From a millisecond to a second.
    pub period: u32,
}

/// The kernel's own default (Documentation/admin-guide/cgroup-v2.rst).
const PERIOD: u32 = 100_000;

/// What lifts a limit that `going -o` has set.
const UNLIMITED: &str = "unlimited";

impl Cgroup {
    /// Whether anything limits it.
    pub fn is_limited(&self) -> bool {
        *self != Cgroup { wish: self.wish, ..Cgroup::default() }
    }
}

/// Reads a value into a limit, or lifts it.
pub fn limit<T>(
    place: &mut Option<T>,
    value: &str,
    read: fn(&str) -> Result<T, Must>,
) -> Result<(), String> {
    *place = match value {
        UNLIMITED => None,
        _ => Some(read(value).map_err(|must| wrong(value, must))?),
    };
    Ok(())
}

/// Reads `200M` or `25%`.
pub fn read_memory(value: &str) -> Result<Memory, Must> {
    const FORM: Must = "a size such as 200M, a share of the machine such as 25%, or unlimited";
    match value.strip_suffix('%') {
        Some(share) => match read_count(share) {
            Some(percent @ 1..=100) => u8::try_from(percent).map(Memory::Percent).map_err(|_| FORM),
            _ => Err("a share from 1% to 100%"),
        },
        None => match read_size(value) {
            Ok(0) => Err("more than nothing"),
            Ok(size) => Ok(Memory::Bytes(size)),
            Err(_) => Err(FORM),
        },
    }
}

/// Writes what `read_memory` reads.
pub fn show_memory(memory: Option<Memory>) -> String {
    match memory {
        None => String::new(),
        Some(Memory::Bytes(size)) => show_size(size),
        Some(Memory::Percent(share)) => format!("{share}%"),
    }
}

/// Reads `150%`, of one processor, or `QUOTA PERIOD` as cpu.max has them.
pub fn read_cpu_max(value: &str) -> Result<CpuMax, Must> {
    const FORM: Must = "a share of one processor such as 50% or 200%, \
                        QUOTA PERIOD in microseconds, or unlimited";
    const RANGE: Must = "1% or more, or a QUOTA of 1000 or more and a PERIOD of 1000 to 1000000";
    let (quota, period) = match value.strip_suffix('%') {
        Some(share) => {
            let share = read_count(share).ok_or(FORM)?;
            (share.checked_mul(PERIOD / 100).ok_or(RANGE)?, PERIOD)
        }
        None => {
            let mut words = blank_separated(value).map(read_count);
            let (quota, period) = (words.next().flatten(), words.next().flatten());
            if words.next().is_some() {
                return Err(FORM);
            }
            (quota.ok_or(FORM)?, period.ok_or(FORM)?)
        }
    };
    if quota < 1000 || !(1000..=1_000_000).contains(&period) {
        return Err(RANGE);
    }
    Ok(CpuMax { quota, period })
}

/// Writes what `read_cpu_max` reads.
pub fn show_cpu_max(max: Option<CpuMax>) -> String {
    match max {
        None => String::new(),
        Some(CpuMax { quota, period: PERIOD }) if quota % (PERIOD / 100) == 0 => {
            format!("{}%", quota / (PERIOD / 100))
        }
        Some(CpuMax { quota, period }) => format!("{quota} {period}"),
    }
}

/// Reads a weight as cpu.weight has it.
pub fn read_weight(value: &str) -> Result<u32, Must> {
    let weight = read_count(value).filter(|weight| (1..=10_000).contains(weight));
    weight.ok_or("a weight from 1 to 10000, of which 100 is usual, or unlimited")
}

/// Reads a number of processes.
pub fn read_pids(value: &str) -> Result<u32, Must> {
    read_count(value).filter(|count| *count > 0).ok_or("a number above 0, or unlimited")
}

/// Writes a number, if there is one.
pub fn show_number(number: Option<u32>) -> String {
    number.map_or(String::new(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_size_or_a_share() {
        for (value, shown) in [("200M", "200M"), ("1024", "1K"), ("1%", "1%"), ("100%", "100%")] {
            assert_eq!(show_memory(Some(read_memory(value).unwrap())), shown);
        }
        for value in ["0", "0%", "101%", "%", "1.5G", "10 %", "-1", "lots"] {
            assert!(read_memory(value).is_err(), "{value}");
        }
    }

    #[test]
    fn time_is_a_share_or_as_the_kernel_has_it() {
        for (value, quota, period, shown) in [
            ("50%", 50_000, 100_000, "50%"),
            ("200%", 200_000, 100_000, "200%"),
            ("50000 100000", 50_000, 100_000, "50%"),
            ("1000  1000000", 1000, 1_000_000, "1000 1000000"),
        ] {
            assert_eq!(read_cpu_max(value), Ok(CpuMax { quota, period }));
            assert_eq!(show_cpu_max(read_cpu_max(value).ok()), shown);
        }
        for value in ["0%", "50", "999 100000", "5000 999", "5000 1000001", "1 2 3", "9999999%"] {
            assert!(read_cpu_max(value).is_err(), "{value}");
        }
    }

    #[test]
    fn limits_can_be_lifted() {
        let mut pids = Some(5);
        assert_eq!(limit(&mut pids, "unlimited", read_pids), Ok(()));
        assert_eq!(pids, None);
        assert_eq!(limit(&mut pids, "7", read_pids), Ok(()));
        assert_eq!(pids, Some(7));
        assert!(limit(&mut pids, "0", read_pids).is_err());
        assert!(limit(&mut pids, "max", read_weight).unwrap_err().contains("unlimited"));
        assert_eq!(read_weight("10001"), read_weight("0"));
    }

    #[test]
    fn a_wish_is_no_limit() {
        assert!(!Cgroup { wish: Wish::Yes, ..Cgroup::default() }.is_limited());
        assert!(Cgroup { pids_max: Some(1), ..Cgroup::default() }.is_limited());
    }
}
