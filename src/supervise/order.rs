//! Who waits for whom before it is started. What is needed must be ready; what is
//! only to come before, and what has a lower priority, holds others up no longer than
//! it is on its way up itself, so that one that fails stops nobody else. Circles of
//! `needs` wait for ever, and say for whom; all others give way.

use super::service::Service;
use super::state::{Stage, State};
use super::supervisor::{Slot, Supervisor};
use crate::config::Kind;
use crate::config::order::{OnNeed, USUAL_PRIORITY, is_meant};

/// For what a service waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocker<'a> {
    /// One that it needs does not exist.
    Missing(&'a str),
    /// One that it needs is not ready, or one before it is on its way up.
    Service(Slot),
}

/// Whether others that need it may be started.
pub fn is_ready(service: &Service) -> bool {
    match service.state {
        State::Up { .. } => service.definition.policy.kind != Kind::Oneshot,
        // Its work is done, or its sockets are open.
        State::Done | State::Listening => true,
        State::Down
        | State::Waiting
        | State::Unmet { .. }
        | State::Starting { .. }
        | State::Stopping { .. }
        | State::Clearing { .. }
        | State::Ending
        | State::Finishing { .. }
        | State::Quarantined { .. }
        | State::Failed => false,
    }
}

impl Supervisor {
    /// For whom a service waits; nobody if it does not wait, or only for its turn.
    pub fn blockers(&self, slot: Slot) -> impl Iterator<Item = Blocker<'_>> {
        let service = self.get(slot).filter(|it| is_to_be_held(it));
        service.into_iter().flat_map(move |it| self.all_blockers(slot, it))
    }

    fn all_blockers<'a>(
        &'a self,
        slot: Slot,
        service: &'a Service,
    ) -> impl Iterator<Item = Blocker<'a>> {
        let priority = service.definition.policy.order.priority;
        // Nobody who waits for somebody by name holds up those after it: one of them
        // may be the one it waits for.
        let is_earlier = move |(it, other): &(Slot, &Service)| {
            other.definition.policy.order.priority < priority
                && self.is_coming(*it, &mut Vec::new())
                && !(is_to_be_held(other) && self.named_blockers(*it, other).next().is_some())
        };
        let has_lower = self.has_priorities;
        let earlier = self.services().filter(move |_| has_lower).filter(is_earlier);
        self.named_blockers(slot, service).chain(earlier.map(|(it, _)| Blocker::Service(it)))
    }

    /// Those among its blockers which its file names.
    fn named_blockers<'a>(
        &'a self,
        slot: Slot,
        service: &'a Service,
    ) -> impl Iterator<Item = Blocker<'a>> {
        let order = &*service.definition.policy.order;
        let needs = order.needs.iter().flat_map(move |need| {
            let is_missing = self.meant(need).next().is_none();
            let missing = is_missing.then_some(Blocker::Missing(need));
            let unready = self.meant(need).filter(|(_, it)| !is_ready(it));
            missing.into_iter().chain(unready.map(|(it, _)| Blocker::Service(it)))
        });
        let coming = order.after.iter().flat_map(move |name| {
            self.meant(name).map(|(it, _)| it).filter(move |&it| {
                self.is_coming(it, &mut Vec::new()) && !self.is_behind(it, slot, &mut Vec::new())
            })
        });
        needs.chain(coming.map(Blocker::Service))
    }

    /// The services that a name in a file means.
    pub fn meant<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (Slot, &'a Service)> {
        let near = self.starting_at(name).take_while(move |(_, it)| it.name.starts_with(name));
        near.filter(move |(_, it)| is_meant(name, &it.name))
    }

    /// Whether it is on its way up, so that it is worth while to wait for it. `way` has
    /// those that are being looked at.
    fn is_coming(&self, slot: Slot, way: &mut Vec<Slot>) -> bool {
        let Some(service) = self.get(slot).filter(|it| it.is_wanted()) else { return false };
        match service.state {
            State::Starting { .. } => true,
            State::Up { .. } => service.definition.policy.kind == Kind::Oneshot,
            // It is being restarted.
            State::Stopping { .. }
            | State::Clearing { .. }
            | State::Ending
            | State::Finishing { .. } => true,
            State::Waiting => {
                if way.contains(&slot) {
                    return false;
                }
                way.push(slot);
                let needs = &service.definition.policy.order.needs;
                let is_hopeful = !is_to_be_held(service)
                    || needs.iter().all(|need| {
                        let mut meant = self.meant(need).peekable();
                        meant.peek().is_some()
                            && meant.all(|(it, other)| is_ready(other) || self.is_coming(it, way))
                    });
                way.pop();
                is_hopeful
            }
            State::Down
            | State::Listening
            | State::Unmet { .. }
            | State::Quarantined { .. }
            | State::Done
            | State::Failed => false,
        }
    }

    /// Whether `slot` waits, by the names in its file and in those of others, for
    /// `other`. `seen` has those that were looked at.
    fn is_behind(&self, slot: Slot, other: Slot, seen: &mut Vec<Slot>) -> bool {
        let Some(service) = self.get(slot).filter(|it| is_to_be_held(it)) else { return false };
        if seen.contains(&slot) {
            return false;
        }
        seen.push(slot);
        let order = &*service.definition.policy.order;
        let mut names = order.needs.iter().chain(&order.after);
        names.any(|name| {
            self.meant(name).any(|(it, _)| it == other || self.is_behind(it, other, seen))
        })
    }

    /// Whether it may not be started yet.
    pub(super) fn is_held(&self, slot: Slot) -> bool {
        self.blockers(slot).next().is_some()
    }

    /// Has those asked again who wait for others, if something has changed.
    pub(super) fn look_at_held(&mut self) {
        if !std::mem::take(&mut self.is_hold_stale) {
            return;
        }
        self.has_priorities = self.has_priorities && self.services().any(|(_, it)| is_special(it));
        let held = std::mem::take(&mut self.held);
        self.turns.extend(held);
    }

    /// All that a service needs, near and far, that nobody wants to run.
    pub fn unwanted_needs(&self, slot: Slot) -> Vec<Slot> {
        let (mut all, mut next) = (vec![slot], 0);
        while let Some(&at) = all.get(next) {
            next += 1;
            let Some(service) = self.get(at) else { continue };
            for need in &service.definition.policy.order.needs {
                let new = self.meant(need).map(|(it, _)| it).filter(|it| !all.contains(it));
                let new: Vec<_> = new.collect();
                all.extend(new);
            }
        }
        let is_unwanted = |it: &Service| !it.is_wanted() && !is_ready(it);
        all.retain(|&it| it != slot && self.get(it).is_some_and(is_unwanted));
        all
    }

    /// Those that run and need one that has become ready anew, that one, and what is to
    /// be done about it.
    pub fn take_concerned(&mut self) -> Vec<(Slot, Slot, OnNeed)> {
        let mut concerned = Vec::new();
        if !self.has_dependents {
            self.renewed.clear();
        }
        for need in std::mem::take(&mut self.renewed) {
            let Some(name) = self.get(need).map(|it| &*it.name) else { continue };
            for (slot, service) in self.services() {
                let order = &*service.definition.policy.order;
                let is_concerned = order.on_need != OnNeed::Nothing
                    && matches!(service.state, State::Up { .. })
                    && order.needs.iter().any(|it| is_meant(it, name));
                if is_concerned {
                    concerned.push((slot, need, order.on_need));
                }
            }
        }
        concerned
    }
}

/// Whether its priority is another one than that of most.
fn is_special(service: &Service) -> bool {
    service.definition.policy.order.priority != USUAL_PRIORITY
}

/// Whether it is about to be started, rather than in the midst of its start.
fn is_to_be_held(service: &Service) -> bool {
    service.state == State::Waiting && service.stage == Stage::Fresh
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
