//! All services: who is who, whose turn it is, when the next deadline is. What
//! changed and what is to be done leaves through one queue, so that no deed can
//! call back into the decision that ordered it.

use std::collections::VecDeque;

use super::facts::{Action, Definition, Event, Moment, Pid, Remains};
use super::order::is_ready;
use super::parting::Parting;
use super::service::Service;
use super::state::{State, Stay, Want};
use crate::config::order::{OnNeed, Order, USUAL_PRIORITY};

/// A service's place, its own until it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    /// There are never more services than there can be pids, which fit.
    fn of(index: usize) -> Slot {
        Slot(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Its number, below that of all services there ever were at the same time.
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// So many places are kept in queues that are empty most of the time.
const FEW: usize = 16;

/// What one event came to; what does not show in these states has changed, too.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Whose.
    pub slot: Slot,
    /// How things were.
    pub before: State,
    /// How they are.
    pub after: State,
    /// What is to be done about it.
    pub action: Option<Action>,
    /// Whether a run, or an attempt at one, has just ended.
    pub has_died: bool,
}

/// All services.
#[derive(Debug)]
pub struct Supervisor {
    // Boxed, because a Vec of them would hold twice their memory while it grows.
    slots: Vec<Option<Box<Service>>>,
    by_name: Vec<Slot>,
    by_pid: Vec<(Pid, Slot)>,
    pub(super) turns: VecDeque<Slot>,
    /// Who has had a turn and waits for others.
    pub(super) held: Vec<Slot>,
    /// Whether something has changed for which one of them may wait.
    pub(super) is_hold_stale: bool,
    /// Whether not all may have the same priority.
    pub(super) has_priorities: bool,
    /// Whether anybody may want to know that one it needs is ready anew.
    pub(super) has_dependents: bool,
    /// Those with dependents who want to know that they are ready anew.
    pub(super) renewed: Vec<Slot>,
    /// Who is to be stopped, or is being stopped, one after another.
    pub(super) parting: Vec<Parting>,
    outcomes: VecDeque<Outcome>,
    /// Who has a deadline, the earliest first: few of a thousand, most of the time.
    due: Vec<(Moment, Slot)>,
    is_closing: bool,
    /// The one that all others need until they are gone.
    last: Option<Slot>,
    dice: u32,
}

impl Supervisor {
    /// No services yet. `seed` is what the jitter comes from.
    pub fn new(seed: u32) -> Supervisor {
        Supervisor {
            slots: Vec::new(),
            by_name: Vec::new(),
            by_pid: Vec::new(),
            turns: VecDeque::new(),
            held: Vec::new(),
            is_hold_stale: false,
            has_priorities: false,
            has_dependents: false,
            renewed: Vec::new(),
            parting: Vec::new(),
            outcomes: VecDeque::new(),
            due: Vec::new(),
            is_closing: false,
            last: None,
            // Xorshift stays at zero for ever if it starts there.
            dice: seed | 1,
        }
    }

    /// The service in `slot`, unless it was forgotten.
    pub fn get(&self, slot: Slot) -> Option<&Service> {
        self.slots.get(slot.index())?.as_deref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Service> {
        self.slots.get_mut(slot.index())?.as_deref_mut()
    }

    /// Has something written down that is seen in no state.
    pub(super) fn note(&mut self, slot: Slot, state: State) {
        let (before, after) = (state, state);
        self.is_hold_stale = true;
        self.outcomes.push_back(Outcome { slot, before, after, action: None, has_died: false });
    }

    /// All services by name.
    pub fn services(&self) -> impl DoubleEndedIterator<Item = (Slot, &Service)> + Clone {
        self.by_name.iter().filter_map(|&slot| Some((slot, self.get(slot)?)))
    }

    /// The service of this name.
    pub fn find(&self, name: &str) -> Option<Slot> {
        let index = self.search(name).ok()?;
        self.by_name.get(index).copied()
    }

    /// The service whose main process this is.
    pub fn find_pid(&self, pid: Pid) -> Option<Slot> {
        let index = self.by_pid.binary_search_by_key(&pid, |&(it, _)| it).ok()?;
        self.by_pid.get(index).map(|&(_, slot)| slot)
    }

    /// Those from this name on.
    pub(super) fn starting_at<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (Slot, &'a Service)> {
        let first = self.search(name).unwrap_or_else(|place| place);
        let rest = self.by_name.iter().skip(first);
        rest.filter_map(|&slot| Some((slot, self.get(slot)?)))
    }

    fn search(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|&slot| self.get(slot).map_or("", |it| &it.name).cmp(name))
    }

    /// Takes up a service whose file is there. One of that name must not exist.
    pub fn add(&mut self, name: &str, definition: Definition, now: Moment) {
        if let Some(slot) = self.insert(Box::new(Service::new(name, definition))) {
            self.step(slot, Event::Arrive, now);
        }
    }

    /// Takes up a service that an earlier going kept, as it is found. One of that
    /// name, or with that process, must not exist.
    pub fn adopt(&mut self, service: Box<Service>, found: Remains, now: Moment) -> Option<Slot> {
        let before = service.state;
        let slot = self.insert(service)?;
        let is_taken = matches!(found, Remains::Process(_, pid, _) if self.find_pid(pid).is_some());
        let found = if is_taken { Remains::Nothing } else { found };
        let dice = self.roll();
        let service = self.slots.get_mut(slot.index()).and_then(Option::as_mut)?;
        // Who was yet to be stopped still is, after those who wait for it.
        let is_to_part = service.want == Want::Down
            && matches!(before, State::Starting { .. } | State::Up { .. })
            && matches!(found, Remains::Process(..));
        if is_to_part {
            service.want = Want::Up;
        }
        let action = service.take_up(found, now, dice);
        let after = service.state;
        if before != after {
            service.changed_at = now;
        }
        // Told even if nothing changed, so that it is written down again.
        let has_died = service.has_died;
        self.outcomes.push_back(Outcome { slot, before, after, action, has_died });
        self.note_deadline(slot, None, after.deadline());
        self.note_pid(slot, None, after.pid());
        if after.awaits_turn() {
            self.turns.push_back(slot);
        }
        if is_to_part {
            self.part(slot, None);
        } else if matches!(after, State::Stopping { .. } | State::Clearing { .. }) {
            self.parting.push(Parting { slot, event: None });
        }
        Some(slot)
    }

    /// Finds a place for a service, unless there is one of its name.
    fn insert(&mut self, service: Box<Service>) -> Option<Slot> {
        let index = self.search(&service.name).err()?;
        self.note_order(&service.definition.policy.order);
        let service = Some(service);
        let slot = match self.slots.iter_mut().enumerate().find(|(_, it)| it.is_none()) {
            Some((free, place)) => {
                *place = service;
                Slot::of(free)
            }
            None => {
                self.slots.push(service);
                Slot::of(self.slots.len() - 1)
            }
        };
        self.by_name.insert(index, slot);
        self.is_hold_stale = true;
        Some(slot)
    }

    /// Gives a service another definition; what follows from that is an event.
    pub fn redefine(&mut self, slot: Slot, definition: Definition) {
        self.note_order(&definition.policy.order);
        if let Some(service) = self.slots.get_mut(slot.index()).and_then(Option::as_mut) {
            service.definition = definition;
            self.is_hold_stale = true;
        }
    }

    fn note_order(&mut self, order: &Order) {
        self.has_priorities |= order.priority != USUAL_PRIORITY;
        self.has_dependents |= order.on_need != OnNeed::Nothing;
    }

    /// Drops a service of which nothing is left.
    pub fn forget(&mut self, slot: Slot) {
        self.last = self.last.filter(|&it| it != slot);
        self.by_name.retain(|&it| it != slot);
        self.turns.retain(|&it| it != slot);
        self.held.retain(|&it| it != slot);
        self.renewed.retain(|&it| it != slot);
        self.parting.retain(|it| it.slot != slot);
        self.due.retain(|it| it.1 != slot);
        self.is_hold_stale = true;
        self.outcomes.retain(|it| it.slot != slot);
        if let Some(place) = self.slots.get_mut(slot.index()) {
            *place = None;
        }
    }

    /// Tells a service what happened, and queues what comes of it.
    pub fn step(&mut self, slot: Slot, event: Event, now: Moment) {
        if matches!(event, Event::Arrive | Event::Start | Event::Restart) {
            self.stay_put(slot);
        }
        let dice = self.roll();
        let is_closing = self.is_closing && self.last != Some(slot);
        let Some(service) = self.slots.get_mut(slot.index()).and_then(Option::as_mut) else {
            return;
        };
        if is_closing {
            // Nothing may come up between the last stop and our exit.
            service.stay = Stay::Closing;
        }
        service.has_died = false;
        let before = service.state;
        let was_ready = is_ready(service);
        let note = (service.want, service.ordered, service.fault, service.stage);
        let action = service.step(event, now, dice);
        let after = service.state;
        let noted = (service.want, service.ordered, service.fault, service.stage);
        let is_same = before == after && note == noted;
        if is_same && action.is_none() {
            return;
        }
        let has_died = service.has_died;
        if !was_ready && is_ready(service) {
            self.renewed.push(slot);
        }
        // Nobody can be started because another one is about to be.
        self.is_hold_stale |= before == after || !matches!(after, State::Starting { .. });
        self.outcomes.push_back(Outcome { slot, before, after, action, has_died });
        if before != after {
            // More time for the same is no change.
            service.changed_at = if before.is_like(&after) { service.changed_at } else { now };
            self.note_deadline(slot, before.deadline(), after.deadline());
            self.note_pid(slot, before.pid(), after.pid());
            if after.awaits_turn() {
                self.turns.push_back(slot);
            }
        }
    }

    fn note_deadline(&mut self, slot: Slot, before: Option<Moment>, after: Option<Moment>) {
        if before == after {
            return;
        }
        if let Some(Ok(index)) = before.map(|at| self.due.binary_search(&(at, slot))) {
            self.due.remove(index);
        }
        if let Some((Err(index), at)) = after.map(|at| (self.due.binary_search(&(at, slot)), at)) {
            self.due.insert(index, (at, slot));
        }
        if self.due.is_empty() {
            self.due.shrink_to(FEW);
        }
    }

    fn note_pid(&mut self, slot: Slot, before: Option<Pid>, after: Option<Pid>) {
        if before == after {
            return;
        }
        let place = |list: &[(Pid, Slot)], pid| list.binary_search_by_key(&pid, |&(it, _)| it);
        if let Some(Ok(index)) = before.map(|pid| place(&self.by_pid, pid)) {
            self.by_pid.remove(index);
        }
        if let Some((Err(index), pid)) = after.map(|pid| (place(&self.by_pid, pid), pid)) {
            self.by_pid.insert(index, (pid, slot));
        }
    }

    /// The next thing that changed or is to be done.
    pub fn next_outcome(&mut self) -> Option<Outcome> {
        let outcome = self.outcomes.pop_front();
        if outcome.is_none() {
            // A thousand deaths at once are rare; their space is given back.
            self.outcomes.shrink_to(FEW);
        }
        outcome
    }

    /// Gives the next waiting service its turn which waits for nobody else; false if
    /// none does.
    pub fn give_turn(&mut self, now: Moment) -> bool {
        self.look_at_held();
        while let Some(slot) = self.turns.pop_front() {
            if self.is_held(slot) {
                self.held.push(slot);
            } else {
                self.step(slot, Event::Go, now);
                return true;
            }
        }
        self.turns.shrink_to(FEW);
        false
    }

    /// Whether a service waits for its turn.
    pub fn has_turns(&self) -> bool {
        !self.turns.is_empty() || self.is_hold_stale && !self.held.is_empty()
    }

    /// Has this service closed when all others are gone.
    pub fn close_last(&mut self, slot: Slot) {
        self.last = Some(slot);
    }

    /// Tells everybody whose time has come.
    pub fn tick(&mut self, now: Moment) {
        if let Some(last) = self.last.filter(|&last| self.is_closing && self.is_alone(last)) {
            self.last = None;
            self.step(last, Event::Leave(Stay::Closing), now);
        }
        let due: Vec<_> = self.due.iter().take_while(|it| it.0 <= now).map(|it| it.1).collect();
        for slot in due {
            // What one comes to may be the end of another one's wait.
            let is_due = |it: &Service| it.state.deadline().is_some_and(|due| due <= now);
            if self.get(slot).is_some_and(is_due) {
                self.step(slot, Event::Tick, now);
            }
        }
    }

    /// When the next thing is to happen by itself.
    pub fn deadline(&self) -> Option<Moment> {
        self.due.first().map(|it| it.0)
    }

    /// Stops everything, those first that nobody waits for; a second call kills it.
    pub fn close(&mut self, now: Moment) {
        let is_second = std::mem::replace(&mut self.is_closing, true);
        let all: Vec<_> = self.by_name.iter().rev().copied().collect();
        let all = all.into_iter().filter(|it| self.last != Some(*it)).collect::<Vec<_>>();
        if is_second {
            self.parting.clear();
            all.into_iter().for_each(|slot| self.step(slot, Event::Kill, now));
        } else {
            all.into_iter().for_each(|slot| self.part(slot, Some(Stay::Closing)));
            self.see_off(now);
        }
    }

    /// Whether no other service has a process.
    fn is_alone(&self, slot: Slot) -> bool {
        let others = self.services().filter(|(it, _)| *it != slot);
        others.into_iter().all(|(_, service)| !service.state.is_alive())
    }

    /// Whether everything was told to stop.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// How many services have a process.
    pub fn alive(&self) -> usize {
        self.slots.iter().flatten().filter(|it| it.state.is_alive()).count()
    }

    /// Xorshift (Marsaglia 2003): jitter needs no better dice.
    fn roll(&mut self) -> u32 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 17;
        self.dice ^= self.dice << 5;
        self.dice
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
