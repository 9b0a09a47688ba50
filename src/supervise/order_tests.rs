//! Graphs of services, made up by hand and at random: nobody is started before those
//! it needs, nobody waits without saying for whom, and nobody waits for ever who could
//! be started.

use proptest::prelude::{Strategy, any, prop, proptest};

use super::*;
use crate::config::order::add_names;
use crate::config::{Policy, Ready};
use crate::supervise::{Action, Definition, Event, Exit, Fault, Moment, Pid, Stay, Step, Want};

const NOW: Moment = Moment(1_000);

/// One service of a graph, known by its place.
#[derive(Debug, Clone)]
struct Node {
    needs: Vec<usize>,
    after: Vec<usize>,
    priority: u16,
    is_oneshot: bool,
}

fn name(index: usize) -> String {
    format!("s{index}")
}

impl Node {
    fn definition(&self) -> Definition {
        let mut policy = Policy { jitter: 0, burst: None, ..Policy::default() };
        policy.kind = if self.is_oneshot { Kind::Oneshot } else { Kind::Service };
        policy.care.make().ready = Ready::Uptime;
        let names = |all: &[usize]| all.iter().map(|it| name(*it)).collect::<Vec<_>>().join(" ");
        let order = policy.order.make();
        add_names(&mut order.needs, &names(&self.needs)).unwrap();
        add_names(&mut order.after, &names(&self.after)).unwrap();
        order.priority = self.priority;
        Definition { text: Box::new([]), policy: policy.into() }
    }
}

struct World {
    nodes: Vec<Node>,
    supervisor: Supervisor,
    pid: i32,
    spawned: Vec<usize>,
}

impl World {
    fn new(nodes: Vec<Node>) -> World {
        let mut supervisor = Supervisor::new(1);
        for (index, node) in nodes.iter().enumerate() {
            supervisor.add(&name(index), node.definition(), NOW);
        }
        World { nodes, supervisor, pid: 10, spawned: Vec::new() }
    }

    fn slot(&self, index: usize) -> Option<Slot> {
        self.supervisor.find(&name(index))
    }

    fn service(&self, index: usize) -> Option<&Service> {
        self.supervisor.get(self.slot(index)?)
    }

    fn state(&self, index: usize) -> Option<State> {
        self.service(index).map(|it| it.state)
    }

    fn index(&self, slot: Slot) -> usize {
        self.supervisor.get(slot).unwrap().name.trim_start_matches('s').parse().unwrap()
    }

    /// Whether nobody waits for himself, near or far.
    fn is_in_order(&self) -> bool {
        let mut is_placed = vec![false; self.nodes.len()];
        for _ in 0..self.nodes.len() {
            for (index, node) in self.nodes.iter().enumerate() {
                let mut before = node.needs.iter().chain(&node.after);
                is_placed[index] |= before.all(|it| is_placed.get(*it).copied().unwrap_or(true));
            }
        }
        is_placed.iter().all(|it| *it)
    }

    /// Does what is asked for, until nobody asks for anything more.
    fn settle(&mut self) {
        loop {
            self.supervisor.see_off(NOW);
            while let Some(outcome) = self.supervisor.next_outcome() {
                match outcome.action {
                    Some(Action::Spawn(_)) => self.spawn(outcome.slot),
                    Some(Action::Signal { .. }) => self.check_stop(outcome.slot),
                    Some(Action::Forget) => self.supervisor.forget(outcome.slot),
                    None => {}
                }
                self.supervisor.see_off(NOW);
            }
            if !self.supervisor.give_turn(NOW) {
                break;
            }
        }
        for (slot, service) in self.supervisor.services() {
            if service.state == State::Waiting {
                let blockers = self.supervisor.blockers(slot).count();
                assert!(blockers > 0, "{} waits for nobody", service.name);
            }
        }
    }

    fn spawn(&mut self, slot: Slot) {
        let index = self.index(slot);
        for need in &self.nodes[index].needs {
            let is_ready = self.service(*need).is_some_and(is_ready);
            assert!(is_ready, "{index} was started before {need} was ready");
        }
        let is_in_order = self.is_in_order();
        for other in self.nodes[index].after.iter().filter(|_| is_in_order) {
            let state = self.state(*other);
            let is_starting = matches!(state, Some(State::Starting { .. }));
            assert!(!is_starting, "{index} was started while {other} was starting");
        }
        self.pid += 1;
        self.spawned.push(index);
        self.supervisor.step(slot, Event::Spawned(Pid(self.pid)), NOW);
        self.supervisor.step(slot, Event::Executed, NOW);
    }

    fn check_stop(&self, slot: Slot) {
        let index = self.index(slot);
        if !self.supervisor.is_closing() || !self.is_in_order() {
            return;
        }
        for (other, node) in self.nodes.iter().enumerate() {
            let is_after = node.needs.contains(&index) || node.after.contains(&index);
            let state = self.state(other).filter(|_| is_after);
            assert!(!state.is_some_and(|it| it.is_alive()), "{index} was stopped before {other}");
        }
    }

    fn tell(&mut self, index: usize, event: Event) {
        if let Some(slot) = self.slot(index) {
            self.supervisor.step(slot, event, NOW);
        }
        self.settle();
    }

    fn exit(&mut self, index: usize, code: u8) {
        if self.state(index).is_some_and(|it| it.pid().is_some()) {
            self.tell(index, Event::Exited { exit: Exit::Code(code), left: false });
        }
    }

    /// Whoever can comes up, one after another.
    fn come_up(&mut self) {
        self.settle();
        for _ in 0..self.nodes.len() {
            for index in 0..self.nodes.len() {
                self.tell(index, Event::Ready);
                if self.nodes[index].is_oneshot {
                    self.exit(index, 0);
                }
            }
        }
    }
}

fn plain(needs: &[usize], after: &[usize], priority: u16) -> Node {
    Node { needs: needs.to_vec(), after: after.to_vec(), priority, is_oneshot: false }
}

#[test]
fn what_is_needed_is_ready_first() {
    let mut world =
        World::new(vec![plain(&[2], &[], 100), plain(&[0], &[], 100), plain(&[], &[], 100)]);
    world.settle();
    assert_eq!(world.spawned, [2]);
    let slot = world.slot(1).unwrap();
    let blockers: Vec<_> = world.supervisor.blockers(slot).collect();
    assert_eq!(blockers, [Blocker::Service(world.slot(0).unwrap())]);
    world.tell(2, Event::Ready);
    assert_eq!(world.spawned, [2, 0]);
    world.tell(0, Event::Ready);
    assert_eq!(world.spawned, [2, 0, 1]);
}

#[test]
fn who_fails_holds_up_only_those_who_need_it() {
    let mut world = World::new(vec![
        plain(&[], &[], 1),
        plain(&[], &[0], 100),
        plain(&[0], &[], 100),
        plain(&[], &[], 100),
    ]);
    world.settle();
    assert_eq!(world.spawned, [0], "a tier waits for the one before it");
    world.exit(0, 1);
    assert_eq!(world.spawned, [0, 1, 3]);
    let blockers: Vec<_> = world.supervisor.blockers(world.slot(2).unwrap()).collect();
    assert_eq!(blockers, [Blocker::Service(world.slot(0).unwrap())]);
}

#[test]
fn what_is_not_there_is_named() {
    let mut world = World::new(vec![plain(&[7], &[8], 100)]);
    world.settle();
    assert_eq!(world.spawned, [0; 0]);
    let blockers: Vec<_> = world.supervisor.blockers(world.slot(0).unwrap()).collect();
    assert_eq!(blockers, [Blocker::Missing("s7")]);
    world.supervisor.add("s7", plain(&[], &[], 100).definition(), NOW);
    world.nodes.resize(8, plain(&[], &[], 100));
    world.settle();
    world.tell(7, Event::Ready);
    assert_eq!(world.spawned, [7, 0]);
}

#[test]
fn a_service_of_low_priority_may_need_one_of_high() {
    let mut world =
        World::new(vec![plain(&[2], &[], 1), plain(&[], &[], 50), plain(&[], &[], 200)]);
    world.come_up();
    assert_eq!(world.spawned, [1, 2, 0]);
}

#[test]
fn a_circle_that_is_only_wished_for_gives_way() {
    let mut world = World::new(vec![plain(&[], &[1], 100), plain(&[], &[0], 100)]);
    world.come_up();
    assert_eq!(world.spawned.len(), 2);
}

#[test]
fn those_that_do_not_obey_cost_one_patience_a_tier() {
    let nodes = (0..20).map(|it| plain(if it < 10 { &[] } else { &[0, 1, 2] }, &[], 100));
    let mut world = World::new(nodes.collect());
    world.come_up();
    world.supervisor.close(NOW);
    world.settle();
    let is_told = |it: &usize| matches!(world.state(*it), Some(State::Stopping { .. }));
    // The others have nobody after them, and are told at once.
    assert_eq!((0..20).filter(is_told).collect::<Vec<_>>(), (3..20).collect::<Vec<_>>());
    for index in 10..20 {
        world.exit(index, 0);
    }
    let is_told = |it: usize| matches!(world.state(it), Some(State::Stopping { .. }));
    assert!([0, 1, 2].into_iter().all(is_told));
}

#[test]
fn who_is_to_be_stopped_later_is_not_wanted_any_more() {
    let mut world = World::new(vec![plain(&[], &[], 100), plain(&[0], &[], 100)]);
    world.come_up();
    for index in [0, 1] {
        let slot = world.slot(index).unwrap();
        world.supervisor.part(slot, None);
    }
    world.settle();
    assert!(matches!(world.state(0), Some(State::Up { .. })));
    assert_eq!(world.service(0).unwrap().want, Want::Down);
    world.exit(1, 0);
    assert!(matches!(world.state(0), Some(State::Stopping { .. })));
    // A start meanwhile counts.
    let mut world = World::new(vec![plain(&[], &[], 100), plain(&[0], &[], 100)]);
    world.come_up();
    for index in [0, 1] {
        let slot = world.slot(index).unwrap();
        world.supervisor.part(slot, None);
    }
    world.settle();
    world.tell(0, Event::Start);
    world.exit(1, 0);
    assert!(matches!(world.state(0), Some(State::Up { .. })));
}

fn node(count: usize) -> impl Strategy<Value = Node> {
    // Some of them need what does not exist.
    let names = || prop::collection::vec(0..count + 1, 0..3);
    let priority = prop::sample::select(vec![100, 100, 100, 1, 200]);
    (names(), names(), priority, any::<bool>()).prop_map(|(needs, after, priority, is_oneshot)| {
        Node { needs, after, priority, is_oneshot }
    })
}

fn graph() -> impl Strategy<Value = Vec<Node>> {
    (1..9_usize).prop_flat_map(|count| prop::collection::vec(node(count), count))
}

/// One without circles, and without anything missing.
fn good_graph() -> impl Strategy<Value = Vec<Node>> {
    graph().prop_map(|mut nodes| {
        for (index, node) in nodes.iter_mut().enumerate() {
            node.needs.retain(|it| *it < index);
            node.after.retain(|it| *it < index);
        }
        // The order of the names is not that of the graph.
        let count = nodes.len();
        let turned = |it: &usize| count - 1 - it;
        for node in &mut nodes {
            node.needs = node.needs.iter().map(turned).collect();
            node.after = node.after.iter().map(turned).collect();
        }
        nodes.reverse();
        nodes
    })
}

proptest! {
    #[test]
    fn every_good_graph_comes_up_and_goes_down(nodes in good_graph()) {
        let mut world = World::new(nodes);
        world.come_up();
        for index in 0..world.nodes.len() {
            assert!(world.service(index).is_some_and(is_ready), "{index} is not up");
        }
        world.supervisor.close(NOW);
        for _ in 0..world.nodes.len() {
            world.settle();
            for index in 0..world.nodes.len() {
                if matches!(world.state(index), Some(State::Stopping { .. })) {
                    world.exit(index, 0);
                }
            }
        }
        assert_eq!(world.supervisor.alive(), 0);
    }

    #[test]
    fn whatever_happens_edges_are_respected_and_nobody_is_lost(
        nodes in graph(),
        deeds in prop::collection::vec((0..9_usize, 0..9_usize), 0..60),
    ) {
        let mut world = World::new(nodes);
        world.settle();
        for (index, deed) in deeds {
            let failure = Fault { step: Step::Execute, errno: 2 };
            match deed {
                0 => world.tell(index, Event::Ready),
                1 => world.exit(index, 0),
                2 => world.exit(index, 1),
                3 => world.tell(index, Event::ExecFailed(failure)),
                4 => world.tell(index, Event::Start),
                5 => world.tell(index, Event::Restart),
                6 | 7 => {
                    let leave = (deed == 7).then_some(Stay::Gone);
                    if let Some(slot) = world.slot(index) {
                        world.supervisor.part(slot, leave);
                    }
                    world.settle();
                }
                _ => {
                    world.supervisor.tick(NOW.after(std::time::Duration::from_secs(2)));
                    world.settle();
                }
            }
        }
        // In the end all that is told to stop stops, in circles, too.
        world.supervisor.close(NOW);
        for _ in 0..2 * world.nodes.len() {
            world.settle();
            for index in 0..world.nodes.len() {
                if matches!(world.state(index), Some(State::Stopping { .. })) {
                    world.exit(index, 0);
                }
            }
        }
        assert_eq!(world.supervisor.alive(), 0);
    }

    /// Only what is needed and missing, or in a circle of needs, is waited for in vain.
    #[test]
    fn who_could_be_started_is(nodes in graph()) {
        let mut world = World::new(nodes);
        world.come_up();
        let count = world.nodes.len();
        let mut is_possible = vec![false; count];
        for _ in 0..count {
            for index in 0..count {
                let mut needs = world.nodes[index].needs.iter();
                is_possible[index] = needs.all(|it| is_possible.get(*it) == Some(&true));
            }
        }
        for (index, is_possible) in is_possible.into_iter().enumerate() {
            assert_eq!(world.service(index).is_some_and(is_ready), is_possible, "{index}");
        }
    }
}
