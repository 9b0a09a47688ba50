//! How many messages a target gets in so long. What is more is counted, and told when
//! that time is over.

use std::collections::HashMap;

use crate::config::Burst;
use crate::supervise::Moment;

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Moment,
    told: u16,
    untold: u64,
}

/// The time of each target.
#[derive(Debug, Default)]
pub struct Limits(HashMap<String, Window>);

impl Limits {
    /// Whether one more may be told; counts it.
    pub fn admit(&mut self, name: &str, limit: Option<Burst>, now: Moment) -> bool {
        let Some(limit) = limit else { return true };
        let new = Window { since: now, told: 0, untold: 0 };
        let window = self.0.entry(name.to_owned()).or_insert(new);
        // What is untold is told first.
        if now.since(window.since) >= limit.within && window.untold == 0 {
            *window = new;
        }
        if window.told < limit.count {
            window.told += 1;
            return true;
        }
        window.untold = window.untold.saturating_add(1);
        false
    }

    /// How many were not told in a time that is over.
    pub fn settle(&mut self, name: &str, limit: Option<Burst>, now: Moment) -> Option<u64> {
        let window = self.0.get(name)?;
        let is_over = limit.is_none_or(|limit| now.since(window.since) >= limit.within);
        let untold = Some(window.untold).filter(|untold| is_over && *untold > 0)?;
        self.0.remove(name);
        Some(untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_too_much_is_counted_and_told_later() {
        let limit = Some(Burst { count: 2, within: Duration::from_millis(100) });
        let mut limits = Limits::default();
        let admitted = [0, 1, 2, 3].map(|at| limits.admit("ops", limit, Moment(at)));
        assert_eq!(admitted, [true, true, false, false]);
        assert!(limits.admit("other", limit, Moment(4)));
        assert_eq!(limits.settle("ops", limit, Moment(99)), None);
        assert_eq!(limits.settle("ops", limit, Moment(100)), Some(2));
        assert_eq!(limits.settle("ops", limit, Moment(101)), None);
        assert!(limits.admit("ops", limit, Moment(101)));
        assert!(limits.admit("other", limit, Moment(104)), "nothing was kept back");
        assert!((0..9).all(|at| limits.admit("free", None, Moment(at))));
    }
}
