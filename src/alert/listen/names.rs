//! The names of events, as supervisor has them, and which of them a name stands for.

use crate::config::grammar::show;
use crate::config::nearest::nearest;
use crate::config::values::hint;

/// Every event there is.
pub const NAMES: [&str; 20] = [
    "PROCESS_STATE_STOPPED",
    "PROCESS_STATE_EXITED",
    "PROCESS_STATE_STARTING",
    "PROCESS_STATE_STOPPING",
    "PROCESS_STATE_BACKOFF",
    "PROCESS_STATE_FATAL",
    "PROCESS_STATE_RUNNING",
    "PROCESS_STATE_UNKNOWN",
    "PROCESS_COMMUNICATION_STDOUT",
    "PROCESS_COMMUNICATION_STDERR",
    "PROCESS_LOG_STDOUT",
    "PROCESS_LOG_STDERR",
    "REMOTE_COMMUNICATION",
    "SUPERVISOR_STATE_CHANGE_RUNNING",
    "SUPERVISOR_STATE_CHANGE_STOPPING",
    "TICK_5",
    "TICK_60",
    "TICK_3600",
    "PROCESS_GROUP_ADDED",
    "PROCESS_GROUP_REMOVED",
];

/// Each of these stands for those whose names begin with it.
const FAMILIES: [&str; 6] = [
    "PROCESS_STATE",
    "PROCESS_COMMUNICATION",
    "PROCESS_LOG",
    "SUPERVISOR_STATE_CHANGE",
    "TICK",
    "PROCESS_GROUP",
];

/// And this one for all.
const ALL: &str = "EVENT";

/// The events of a list such as `PROCESS_STATE,TICK_60`.
///
/// # Errors
/// A sentence for people.
pub fn read(list: &str) -> Result<Vec<&'static str>, String> {
    let mut found = Vec::new();
    for word in list.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        let name = word.to_ascii_uppercase();
        let is_meant = |known: &&'static str| {
            let family = FAMILIES.contains(&&*name).then(|| known.strip_prefix(&*name));
            name == ALL || name == **known || family.flatten().is_some_and(|it| it.starts_with('_'))
        };
        let meant: Vec<_> = NAMES.into_iter().filter(is_meant).collect();
        if meant.is_empty() {
            let all = NAMES.into_iter().chain(FAMILIES).chain([ALL]);
            return Err(hint(format!("no event {}", show(word)), nearest(&name, all)));
        }
        found.extend(meant);
    }
    if found.is_empty() { Err("--events names no event".to_owned()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_for_all_of_theirs() {
        assert_eq!(read("EVENT").unwrap().len(), 20);
        assert_eq!(read("PROCESS_STATE").unwrap().len(), 8);
        assert_eq!(read("tick, PROCESS_GROUP").unwrap().len(), 5);
        assert_eq!(read("TICK_60").unwrap(), ["TICK_60"]);
        assert!(read("PROCESS").is_err() && read(" , ").is_err());
        let why = read("PROCESS_STATE_EXITTED").unwrap_err();
        assert!(why.ends_with("did you mean \"PROCESS_STATE_EXITED\"?"), "{why}");
    }
}
