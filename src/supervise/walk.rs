//! Plays every short history of a service, and random long ones, in a world that
//! keeps its own books on processes, and holds the service against them.

use std::time::Duration;

use proptest::prelude::{Strategy, any, prop, proptest};

use super::facts::{
    Action, Definition, Event, Exit, Fault, Moment, Pid, Remains, State, Stay, Step, Want,
};
use super::record::{self, Entry};
use super::service::Service;
use crate::config::{Kind, Policy, Restart, Signal, Start, StopStep, Whom};

/// What may be done to the world in one move.
#[derive(Debug, Clone, Copy)]
enum Move {
    Start,
    Stop,
    Restart,
    Arrive,
    Demand,
    SocketFails,
    Remove,
    Close,
    Kill,
    /// A turn, in which the fork succeeds.
    Fork,
    /// A turn, in which it fails for a while or for good.
    ForkFails(bool),
    Execute,
    ExecuteFails,
    /// The main process leaves its work to another one.
    Daemonize,
    /// The main process ends, well or badly, and leaves somebody or not.
    Die(bool, bool),
    LeftoverDies,
    /// Time passes until the deadline.
    Wait,
    /// Time passes, but nothing is due.
    WaitALittle,
    /// Going is killed, and another one reads what was written down; or everything of
    /// the service dies in between.
    Crash(bool),
}

const MOVES: [Move; 24] = [
    Move::Crash(false),
    Move::Crash(true),
    Move::Start,
    Move::Stop,
    Move::Restart,
    Move::Arrive,
    Move::Demand,
    Move::SocketFails,
    Move::Remove,
    Move::Close,
    Move::Kill,
    Move::Fork,
    Move::ForkFails(true),
    Move::ForkFails(false),
    Move::Execute,
    Move::ExecuteFails,
    Move::Daemonize,
    Move::Die(true, true),
    Move::Die(true, false),
    Move::Die(false, true),
    Move::Die(false, false),
    Move::LeftoverDies,
    Move::Wait,
    Move::WaitALittle,
];

#[derive(Debug, Clone)]
struct World {
    service: Service,
    now: Moment,
    pids: i32,
    main: Option<Pid>,
    leftover: Option<Pid>,
    forgotten: bool,
}

impl World {
    fn new(policy: Policy) -> World {
        let definition = Definition { text: Box::new([]), policy: policy.into() };
        World {
            service: Service::new("web", definition),
            now: Moment(1_000_000),
            pids: 100,
            main: None,
            leftover: None,
            forgotten: false,
        }
    }

    /// Makes the move if it is possible; whether it was.
    fn make(&mut self, it: Move) -> bool {
        let is_waiting = self.service.state == State::Waiting;
        let is_starting = matches!(self.service.state, State::Starting { .. });
        match it {
            Move::Start => self.tell(Event::Start),
            Move::Stop => self.tell(Event::Stop),
            Move::Restart => self.tell(Event::Restart),
            Move::Arrive | Move::Demand | Move::SocketFails => return self.begin(it),
            Move::Remove => self.tell(Event::Leave(Stay::Gone)),
            Move::Close => self.tell(Event::Leave(Stay::Closing)),
            Move::Kill => self.tell(Event::Kill),
            Move::Fork if is_waiting => {
                self.turn();
                self.pids += 1;
                self.main = Some(Pid(self.pids));
                self.tell(Event::Spawned(Pid(self.pids)));
            }
            Move::ForkFails(heals) if is_waiting => {
                self.turn();
                let errno = if heals { 11 } else { 2 };
                self.tell(Event::SpawnFailed(Fault { step: Step::Fork, errno }));
            }
            Move::Execute if is_starting => self.tell(Event::Executed),
            Move::ExecuteFails if is_starting => {
                self.tell(Event::ExecFailed(Fault { step: Step::Execute, errno: 2 }));
            }
            Move::Daemonize if self.main.is_some() && self.is_forking() => self.daemonize(),
            Move::Die(is_clean, left) if self.main.is_some() => {
                let pid = self.main.take();
                self.leftover = if left { pid } else { None };
                let exit = Exit::Code(if is_clean { 0 } else { 1 });
                self.tell(Event::Exited { exit, left });
            }
            Move::LeftoverDies if self.leftover.is_some() => {
                self.leftover = None;
                self.tell(Event::Cleared);
            }
            Move::Wait if self.service.state.deadline().is_some() => {
                let deadline = self.service.state.deadline().unwrap();
                self.now = self.now.max(deadline);
                self.tell(Event::Tick);
                let next = self.service.state.deadline();
                assert!(next.is_none_or(|next| next > self.now), "a deadline passed in vain");
            }
            Move::Crash(all_die) => self.crash(all_die),
            Move::WaitALittle => {
                self.now = self.now.after(Duration::from_millis(700));
                self.tell(Event::Tick);
            }
            Move::Fork
            | Move::ForkFails(_)
            | Move::Execute
            | Move::ExecuteFails
            | Move::Daemonize
            | Move::Die(..)
            | Move::LeftoverDies
            | Move::Wait => return false,
        }
        self.check();
        true
    }

    /// What can only happen to those which are not simply started.
    fn begin(&mut self, it: Move) -> bool {
        let is_listening = self.service.state == State::Listening;
        let start = self.service.definition.policy.start;
        let is_new = start != Start::Auto && !self.service.state.is_alive();
        let event = if matches!(it, Move::Demand) && is_listening {
            Event::Demand
        } else if matches!(it, Move::SocketFails) && is_listening {
            Event::SpawnFailed(Fault { step: Step::Listen(0), errno: 98 })
        } else if matches!(it, Move::Arrive) && is_new {
            // With start=auto it is the same as a start.
            Event::Arrive
        } else {
            return false;
        };
        self.tell(event);
        let is_served = self.service.state == State::Waiting;
        assert!(event != Event::Demand || is_served, "nobody is served");
        self.check();
        true
    }

    fn crash(&mut self, all_die: bool) {
        if all_die {
            (self.main, self.leftover) = (None, None);
        }
        let found = match (self.main, self.leftover) {
            (Some(pid), _) => Remains::Main(pid, self.now),
            (None, Some(pid)) => Remains::Group(pid),
            (None, None) => Remains::Nothing,
        };
        let (stay, had) = (self.service.stay, self.service.clone());
        let Entry::Life(record) = record::decode(&record::encode(&self.service)) else {
            panic!("it cannot be read again");
        };
        self.service = *record.into_service(self.service.definition.clone());
        assert_eq!(self.service.want, had.want, "what the operator wants was lost");
        let action = self.service.take_up(found, self.now, 12345);
        self.obey(action);
        assert!(self.service.starts >= had.starts, "a start was lost");
        if had.state.deadline().is_some() && self.service.state == had.state {
            let deadline = |service: &Service| service.state.deadline();
            assert_eq!(deadline(&self.service), deadline(&had), "a deadline was moved");
        }
        // The next going sees itself that the file is gone.
        if stay == Stay::Gone {
            self.tell(Event::Leave(stay));
        }
    }

    fn daemonize(&mut self) {
        self.pids += 1;
        self.main = Some(Pid(self.pids));
        self.tell(Event::Moved(Pid(self.pids)));
    }

    fn is_forking(&self) -> bool {
        self.service.definition.policy.kind == Kind::Forking
    }

    fn turn(&mut self) {
        let action = self.service.step(Event::Go, self.now, 0);
        assert_eq!(action, Some(Action::Spawn), "its turn came and it did not take it");
        assert_eq!(self.service.state, State::Waiting);
        assert!(self.main.is_none() && self.leftover.is_none(), "it would run twice");
        assert!(self.service.is_wanted(), "nobody wants it");
    }

    fn tell(&mut self, event: Event) {
        let action = self.service.step(event, self.now, 12345);
        self.obey(action);
    }

    fn obey(&mut self, action: Option<Action>) {
        match action {
            None => {}
            Some(Action::Spawn) => panic!("spawned out of turn"),
            Some(Action::Signal { pid, signal, whom }) => {
                assert!(self.main.or(self.leftover) == Some(pid), "signal to a stranger");
                let is_to_nobody = self.main.is_none() && whom == Whom::Process;
                assert!(!is_to_nobody, "a signal to a dead process");
                assert!(signal != Signal(9) || whom == Whom::All, "KILL must reach all");
            }
            Some(Action::Forget) => {
                assert!(self.main.is_none() && self.leftover.is_none(), "forgot a process");
                assert_eq!(self.service.stay, Stay::Gone);
                self.forgotten = true;
            }
        }
    }

    fn check(&self) {
        let state = self.service.state;
        assert_eq!(state.pid(), self.main, "a pid was lost or invented");
        assert_eq!(matches!(state, State::Clearing { .. }), self.leftover.is_some());
        assert_eq!(state.is_alive(), self.main.is_some() || self.leftover.is_some());
        match state {
            State::Down | State::Done | State::Failed => {
                let is_down = state == State::Down;
                assert_eq!(is_down, !self.service.is_wanted(), "wanted, and down");
            }
            // Its turn comes.
            State::Waiting => assert!(self.service.is_wanted(), "waits, and nobody wants it"),
            State::Listening => {
                let start = self.service.definition.policy.start;
                assert_eq!(start, Start::OnDemand, "waits for a connection that cannot come");
                assert!(self.service.is_wanted(), "listens, and nobody wants it");
            }
            State::Up { .. } => assert!(self.service.is_wanted(), "unwanted, and not stopping"),
            State::Quarantined { .. } => {
                assert!(state.deadline().is_some() && self.service.is_wanted());
            }
            State::Starting { .. } | State::Stopping { .. } | State::Clearing { .. } => {
                assert!(state.deadline().is_some(), "waits for ever");
            }
        }
        self.check_that_kill_comes();
    }

    /// Whatever is stopping meets KILL if it never dies.
    fn check_that_kill_comes(&self) {
        let mut service = self.service.clone();
        if !matches!(service.state, State::Stopping { .. } | State::Clearing { .. }) {
            return;
        }
        for _ in 0..=service.definition.policy.stop.len() {
            let deadline = service.state.deadline().unwrap();
            if let Some(Action::Signal { signal: Signal(9), .. }) =
                service.step(Event::Tick, deadline, 0)
            {
                return;
            }
        }
        panic!("KILL never came");
    }
}

fn policies() -> Vec<Policy> {
    let step =
        |signal, seconds| StopStep { signal: Signal(signal), wait: Duration::from_secs(seconds) };
    let base = Policy::default();
    vec![
        base.clone(),
        Policy { restart: Restart::OnFailure, strikes: 2, ..base.clone() },
        Policy { restart: Restart::Never, kill: Whom::Process, ..base.clone() },
        Policy { kind: Kind::Oneshot, kill: Whom::All, ..base.clone() },
        Policy { kind: Kind::Forking, ..base.clone() },
        Policy { start: Start::OnDemand, restart: Restart::Never, ..base.clone() },
        Policy { start: Start::OnDemand, strikes: 2, ..base.clone() },
        Policy { stop: Box::new([]), min_uptime: Duration::ZERO, ..base.clone() },
        Policy { stop: Box::new([step(15, 1), step(2, 3), step(3, 2)]), jitter: 0, ..base },
    ]
}

fn walk(world: &World, depth: usize) -> u64 {
    if depth == 0 || world.forgotten {
        return 1;
    }
    // A crash costs more than the other moves, and many of them nothing new.
    let moves = MOVES.into_iter().filter(|it| depth > 3 || !matches!(it, Move::Crash(_)));
    moves.fold(1, |count, it| {
        let mut next = world.clone();
        if next.make(it) { count + walk(&next, depth - 1) } else { count }
    })
}

#[test]
fn no_short_history_loses_or_doubles_a_process_or_waits_for_ever() {
    for policy in policies() {
        // What is different about the others shows earlier.
        let depth = if policy.start == Start::Auto { 6 } else { 5 };
        let mut world = World::new(policy);
        world.tell(Event::Arrive);
        let count = walk(&world, depth);
        assert!(count > 10_000, "only {count} histories: the walk is stuck");
    }
}

fn any_move() -> impl Strategy<Value = Move> {
    prop::sample::select(&MOVES[..])
}

proptest! {
    #[test]
    fn no_long_history_does_either(
        moves in prop::collection::vec(any_move(), 1..400),
        policy in prop::sample::select(policies()),
        seconds in any::<u16>(),
    ) {
        let mut world = World::new(policy);
        world.make(Move::Start);
        for it in moves {
            world.make(it);
            world.now = world.now.after(Duration::from_secs(u64::from(seconds) % 7));
            if world.forgotten {
                break;
            }
        }
    }

    /// Whatever a record holds, and whatever is found, what is taken up is possible.
    #[test]
    fn no_record_makes_a_service_impossible(
        service in super::record::tests::services(),
        policy in prop::sample::select(policies()),
        (kind, pid, since, now) in (0..3, 2..1000_i32, any::<u64>(), any::<u32>()),
    ) {
        let found = match kind {
            0 => Remains::Main(Pid(pid), Moment(since)),
            1 => Remains::Group(Pid(pid)),
            _ => Remains::Nothing,
        };
        let mut world = World::new(policy.clone());
        world.now = Moment(u64::from(now));
        world.main = (kind == 0).then_some(Pid(pid));
        world.leftover = (kind == 1).then_some(Pid(pid));
        world.service = service;
        world.service.definition.policy = policy.into();
        let action = world.service.take_up(found, world.now, 12345);
        world.obey(action);
        world.check();
        let latest = world.now.after(Duration::from_secs(600));
        let deadline = world.service.state.deadline();
        assert!(deadline.is_none_or(|it| it <= latest), "it waits for ever");
        for _ in 0..9 {
            world.make(Move::Wait);
        }
        world.make(Move::Die(false, false));
        world.make(Move::LeftoverDies);
    }

    /// Whatever happened before, a stop ends with nothing left if KILL works.
    #[test]
    fn every_history_can_be_ended(
        moves in prop::collection::vec(any_move(), 1..60),
        policy in prop::sample::select(policies()),
    ) {
        let mut world = World::new(policy);
        world.make(Move::Start);
        for it in moves {
            world.make(it);
        }
        world.make(Move::Stop);
        assert_eq!(world.service.want, Want::Down);
        world.make(Move::Kill);
        world.make(Move::Die(false, true));
        world.make(Move::LeftoverDies);
        assert_eq!(world.service.state, State::Down);
    }
}
