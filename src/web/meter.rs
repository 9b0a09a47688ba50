//! What services use, read out of /proc at most four times a second, however many
//! ask: of a hundred services that takes longer than all else of an answer. A run
//! is known by its process and by how often its service was started, so that
//! nothing old is told of a new run.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::client::usage::{Usage, of_service};
use crate::protocol::Message;
use crate::supervise::Moment;
use crate::sys;

/// How old a figure may be. Our page and collectors ask every other second at
/// most, and see no difference.
const FRESH: Duration = Duration::from_millis(250);

/// The figures of a moment.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Option<Reading>>);

#[derive(Debug)]
struct Reading {
    at: Moment,
    /// By process and starts; gone with the moment, so that it stays small.
    known: HashMap<(u64, u64), Option<Usage>>,
}

impl Meter {
    /// What the service of each of these blocks uses.
    pub fn measure<'a>(&self, blocks: impl Iterator<Item = &'a Message>) -> Vec<Option<Usage>> {
        self.measure_at(sys::monotonic(), blocks, of_service)
    }

    fn measure_at<'a>(
        &self,
        now: Moment,
        blocks: impl Iterator<Item = &'a Message>,
        read: fn(u64, Option<&str>) -> Option<Usage>,
    ) -> Vec<Option<Usage>> {
        // Whoever comes while another one reads gets what that one read.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last.take().filter(|it| now.since(it.at) < FRESH);
        let reading = last.insert(fresh.unwrap_or(Reading { at: now, known: HashMap::new() }));
        let usages = blocks.map(|block| {
            let run = (block.number("pid")?, block.number("starts").unwrap_or(0));
            let measure = || read(run.0, block.get("cgroup"));
            *reading.known.entry(run).or_insert_with(measure)
        });
        usages.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_once_in_a_moment_and_for_each_run() {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let count = |_, _: Option<&str>| {
            let memory = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Some(Usage { memory, cpu: Duration::ZERO })
        };
        let block = |text: &str| Message::parse(text.as_bytes()).unwrap();
        let (down, first, second) =
            (block("service=a"), block("pid=7\nstarts=1"), block("pid=7\nstarts=2"));
        let meter = Meter::default();
        let told = |at, blocks: &[&Message]| {
            let usages = meter.measure_at(Moment(at), blocks.iter().copied(), count);
            usages.into_iter().map(|it| it.map(|it| it.memory)).collect::<Vec<_>>()
        };
        assert_eq!(told(1000, &[&down, &first]), [None, Some(0)]);
        assert_eq!(told(1249, &[&first, &down]), [Some(0), None]);
        assert_eq!(told(1249, &[&second, &first]), [Some(1), Some(0)]);
        assert_eq!(told(1250, &[&first]), [Some(2)]);
    }
}
