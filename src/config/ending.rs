//! The values of the keys about a service's end. The time between the wish to stop a
//! service and its first signal is a step of its stop sequence like any other, but
//! for its signal, which is none: so it costs nothing where there is no such time.

use std::time::Duration;

use super::names::{self, Name};
use super::spec::{Policy, Signal, StopStep};

/// kill(2) takes it and sends nothing.
const NOTHING: Signal = Signal(0);

impl Policy {
    /// How long a service is left alone before the first signal.
    pub fn term_delay(&self) -> Duration {
        let first = self.stop.first().filter(|step| step.signal == NOTHING);
        first.map_or(Duration::ZERO, |step| step.wait)
    }

    /// The steps that have signals.
    pub fn signals(&self) -> &[StopStep] {
        self.stop.get(usize::from(self.first_signal())..).unwrap_or_default()
    }

    /// The number of the first step that has a signal.
    pub fn first_signal(&self) -> u8 {
        u8::from(self.stop.first().is_some_and(|step| step.signal == NOTHING))
    }

    /// Puts other steps behind that time.
    pub fn set_signals(&mut self, steps: &[StopStep]) {
        self.stop = [&before(self.term_delay()), steps].concat().into();
    }

    /// Puts another such time before the steps.
    pub fn set_term_delay(&mut self, wait: Duration) {
        self.stop = [&before(wait), self.signals()].concat().into();
    }
}

fn before(wait: Duration) -> Vec<StopStep> {
    let step = StopStep { signal: NOTHING, wait };
    if wait.is_zero() { Vec::new() } else { vec![step] }
}

/// Reads the name of a service.
pub fn read_name(word: &str) -> Result<String, &'static str> {
    match names::judge(word.as_bytes()) {
        Name::Service => Ok(word.to_owned()),
        Name::Template | Name::Skip | Name::TooLong | Name::Refused(_) => {
            Err("the name of a service")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_and_signals_do_not_depend_on_their_order() {
        let steps = [StopStep { signal: Signal(2), wait: Duration::from_secs(3) }];
        let (mut one, mut other) = (Policy::default(), Policy::default());
        one.set_signals(&steps);
        one.set_term_delay(Duration::from_secs(5));
        other.set_term_delay(Duration::from_secs(7));
        other.set_term_delay(Duration::from_secs(5));
        other.set_signals(&steps);
        assert_eq!(one, other);
        assert_eq!((one.term_delay(), one.signals()), (Duration::from_secs(5), &steps[..]));
        one.set_term_delay(Duration::ZERO);
        assert_eq!((&*one.stop, one.first_signal()), (&steps[..], 0));
    }
}
