//! Who is stopped before whom: those first for whom nobody waits, all that can be at
//! the same time at the same time, so that many who do not obey cost the patience
//! that one costs.

use super::facts::{Event, Moment};
use super::state::{Stay, Want};
use super::supervisor::{Slot, Supervisor};

/// Somebody who is to be stopped, or is being stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parting {
    pub(super) slot: Slot,
    /// By what, unless that was told already.
    pub(super) event: Option<Event>,
}

impl Supervisor {
    /// Has a service stopped when those are gone that wait for it, and are being stopped,
    /// too; by order, or because it is to leave. It is not wanted any more from now on.
    pub fn part(&mut self, slot: Slot, leave: Option<Stay>) {
        self.stay_put(slot);
        let event = Some(leave.map_or(Event::Stop, Event::Leave));
        self.parting.push(Parting { slot, event });
        let Some(service) = self.get_mut(slot) else { return };
        match leave {
            None => service.want = Want::Down,
            Some(stay) => service.stay = stay,
        }
        let state = service.state;
        self.note(slot, state);
    }

    /// Somebody is not to be stopped after all.
    pub(super) fn stay_put(&mut self, slot: Slot) {
        self.parting.retain(|it| it.slot != slot);
    }

    /// Whether somebody is still to be told.
    pub fn has_partings(&self) -> bool {
        self.parting.iter().any(|it| it.event.is_some())
    }

    /// Tells those to stop for whom nobody waits any more.
    pub fn see_off(&mut self, now: Moment) {
        if !self.has_partings() {
            // Called after each death: who is gone is left out when somebody asks.
            while self.parting.last().is_some_and(|it| !self.is_alive(it.slot)) {
                self.parting.pop();
            }
            return;
        }
        let mut parting = std::mem::take(&mut self.parting);
        let is_alive = |it: Slot| self.is_alive(it);
        // What does not run has nothing to wait for, nor is it waited for.
        parting.retain(|it| it.event.is_some() || is_alive(it.slot));
        let alive = || parting.iter().filter(|it| is_alive(it.slot));
        let mut named: Vec<_> = alive().flat_map(|it| self.named_by(it.slot)).collect();
        named.sort_unstable();
        let is_unnamed = |it: &Parting| named.binary_search(&it.slot).is_err();
        // As at the start, who waits for somebody by name holds up nobody else.
        let others = alive().filter(|it| it.event.is_none() || is_unnamed(it));
        let highest = others.map(|it| self.priority(it.slot)).max();
        let is_last = |it: &Parting| highest.is_none_or(|most| most <= self.priority(it.slot));
        let is_free = |it: &Parting| !is_alive(it.slot) || is_unnamed(it) && is_last(it);
        let mut told: Vec<_> = parting.iter().map(|it| it.event.is_some() && is_free(it)).collect();
        let is_stopping = parting.iter().any(|it| it.event.is_none());
        if !is_stopping && !told.contains(&true) {
            // In a circle nobody is the first.
            told.fill(true);
        }
        let events: Vec<_> = parting
            .iter_mut()
            .zip(told)
            .filter_map(|(it, is_told)| Some((it.slot, it.event.take_if(|_| is_told)?)))
            .collect();
        self.parting = parting;
        for (slot, event) in events {
            self.step(slot, event, now);
        }
    }

    /// Those for whom the file of this one has it wait.
    fn named_by(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        let order = self.get(slot).map(|it| &*it.definition.policy.order);
        let names = order.into_iter().flat_map(|it| it.needs.iter().chain(&it.after));
        let all = names.flat_map(|name| self.meant(name)).map(|(it, _)| it);
        all.filter(move |&it| it != slot)
    }

    fn is_alive(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|it| it.state.is_alive())
    }

    fn priority(&self, slot: Slot) -> u16 {
        self.get(slot).map_or(0, |it| it.definition.policy.order.priority)
    }
}
