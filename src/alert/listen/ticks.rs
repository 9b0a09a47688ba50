//! The events that only tell how late it is.

use std::time::Duration;

/// Every so many seconds.
const TICKS: [(&str, u64); 3] = [("TICK_5", 5), ("TICK_60", 60), ("TICK_3600", 3600)];

/// When each was last.
#[derive(Debug)]
pub struct Ticks(Vec<(&'static str, u64, u64)>);

impl Ticks {
    /// Those which somebody wants, from now on, in seconds since 1970.
    pub fn new(wanted: &[&str], now: u64) -> Ticks {
        let ticks = TICKS.into_iter().filter(|(name, _)| wanted.contains(name));
        Ticks(ticks.map(|(name, period)| (name, period, slice(now, period))).collect())
    }

    /// Those that are due, each with the moment which it stands for.
    pub fn due(&mut self, now: u64) -> Vec<(&'static str, u64)> {
        let mut due = Vec::new();
        for (name, period, last) in &mut self.0 {
            let this = slice(now, *period);
            if this != *last {
                *last = this;
                due.push((*name, this));
            }
        }
        due
    }

    /// When the next one is; nothing if there is none.
    pub fn patience(&self, now: u64) -> Option<Duration> {
        let next = self.0.iter().map(|(_, period, _)| slice(now, *period).saturating_add(*period));
        next.min().map(|next| Duration::from_secs(next.saturating_sub(now)))
    }
}

fn slice(now: u64, period: u64) -> u64 {
    now - now % period
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_at_whole_multiples() {
        let mut ticks = Ticks::new(&["TICK_5", "TICK_60"], 1_795_232_788);
        assert_eq!(ticks.patience(1_795_232_788), Some(Duration::from_secs(2)));
        assert!(ticks.due(1_795_232_789).is_empty());
        assert_eq!(ticks.due(1_795_232_790), [("TICK_5", 1_795_232_790)]);
        assert!(ticks.due(1_795_232_794).is_empty());
        let both = [("TICK_5", 1_795_232_820), ("TICK_60", 1_795_232_820)];
        assert_eq!(ticks.due(1_795_232_820), both);
        assert_eq!(Ticks::new(&["PROCESS_LOG_STDOUT"], 7).patience(7), None);
    }
}
