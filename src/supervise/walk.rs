//! Plays every short history of a service, and random long ones, in a world that
//! keeps its own books on processes, and holds the service against them.

use std::time::Duration;

use proptest::prelude::{Strategy, any, prop, proptest};

use super::facts::{Action, Definition, Event, Exit, Fault, Job, Moment, Pid, Remains, Step};
use super::record::{self, Entry};
use super::service::Service;
use super::state::{Stage, State, Stay, Want};
use crate::config::care::HeldCare;
use crate::config::{Kind, Policy, Ready, Restart, Signal, Start, StopStep, Whom};

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
    Ready,
    /// Its health checks have failed.
    Ail,
    /// It is time for it to be run again.
    Again,
    /// It asks for more time.
    Extend,
    Hang,
    /// A turn, in which a condition is not met.
    Unmet,
    Look,
    /// The process ends, well or badly, and leaves somebody or not.
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

const MOVES: [Move; 31] = [
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
    Move::Ready,
    Move::Ail,
    Move::Again,
    Move::Extend,
    Move::Hang,
    Move::Unmet,
    Move::Look,
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
    /// What that is.
    job: Job,
    /// The last setup has done its work, and nothing came after it.
    is_set_up: bool,
    /// Something ran since the last finish.
    owes_finish: bool,
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
            job: Job::Main,
            is_set_up: false,
            owes_finish: false,
            leftover: None,
            forgotten: false,
        }
    }

    /// Makes the move if it is possible; whether it was.
    fn make(&mut self, it: Move) -> bool {
        let is_made = self.order(it) || self.mind(it) || self.happen(it);
        if is_made {
            self.check();
        }
        is_made
    }

    /// What people do.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are no orders")]
    fn order(&mut self, it: Move) -> bool {
        match it {
            Move::Start => self.tell(Event::Start),
            Move::Stop => self.tell(Event::Stop),
            Move::Restart => self.tell(Event::Restart),
            Move::Arrive | Move::Demand | Move::SocketFails => return self.begin(it),
            Move::Remove => self.tell(Event::Leave(Stay::Gone)),
            Move::Close => self.tell(Event::Leave(Stay::Closing)),
            Move::Kill => {
                // Who is in such a hurry does without.
                let is_ending = self.service.state == State::Ending;
                self.owes_finish &= !is_ending || self.service.is_wanted();
                self.tell(Event::Kill);
            }
            _ => return false,
        }
        true
    }

    /// What comes about by itself.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others cannot be now")]
    fn happen(&mut self, it: Move) -> bool {
        let is_waiting = self.service.state.awaits_turn();
        let is_fresh = self.service.stage == Stage::Fresh;
        match it {
            Move::Fork if is_waiting => {
                self.turn();
                self.job = self.service.job();
                self.is_set_up = false;
                self.owes_finish = self.job != Job::Finish && self.care().finish;
                self.pids += 1;
                self.main = Some(Pid(self.pids));
                self.tell(Event::Spawned(Pid(self.pids)));
            }
            Move::ForkFails(heals) if is_waiting => {
                self.turn();
                self.owes_finish &= self.service.job() != Job::Finish;
                let errno = if heals { 11 } else { 2 };
                self.tell(Event::SpawnFailed(Fault { step: Step::Fork, errno }));
            }
            Move::Execute if self.main.is_some() => self.tell(Event::Executed),
            Move::Ready | Move::Extend | Move::Hang if self.main.is_some() => self.speak(it),
            Move::Unmet if is_waiting && is_fresh => {
                self.turn();
                self.tell(Event::Unmet(3));
                assert_eq!(self.service.state, State::Unmet { which: 3 });
            }
            Move::Look if matches!(self.service.state, State::Unmet { .. }) => {
                self.tell(Event::Look);
                assert_eq!(self.service.state, State::Waiting);
            }
            Move::ExecuteFails if self.main.is_some() => {
                self.tell(Event::ExecFailed(Fault { step: Step::Execute, errno: 2 }));
            }
            Move::Daemonize if self.main.is_some() && self.is_forking() => self.daemonize(),
            Move::Die(is_clean, left) if self.main.is_some() => {
                let pid = self.main.take();
                self.leftover = if left { pid } else { None };
                let exit = Exit::Code(if is_clean { 0 } else { 1 });
                let is_starting = matches!(self.service.state, State::Starting { .. });
                let is_well = is_starting && is_clean && self.service.fault.is_none();
                self.is_set_up = self.job == Job::Setup && is_well;
                self.tell(Event::Exited { exit, left });
            }
            Move::LeftoverDies if self.leftover.is_some() => {
                self.leftover = None;
                self.tell(Event::Cleared);
            }
            Move::Wait if self.service.state.deadline().is_some() => {
                self.now = self.now.max(self.service.state.deadline().unwrap());
                self.tell(Event::Tick);
                let next = self.service.state.deadline();
                assert!(next.is_none_or(|next| next > self.now), "a deadline passed in vain");
            }
            Move::Crash(all_die) => self.crash(all_die),
            Move::WaitALittle => {
                self.now = self.now.after(Duration::from_millis(700));
                self.tell(Event::Tick);
            }
            _ => return false,
        }
        true
    }

    fn speak(&mut self, it: Move) {
        if matches!(it, Move::Ready) {
            return self.tell(Event::Ready);
        }
        if matches!(it, Move::Extend) { self.extend() } else { self.hang() }
    }

    /// More time is never less, only for what takes time, and never for KILL.
    fn extend(&mut self) {
        let (state, deadline) = (self.service.state, self.service.state.deadline());
        self.tell(Event::Extend(Duration::from_secs(200)));
        assert!(state.is_like(&self.service.state) && self.service.state.deadline() >= deadline);
        let is_killed = matches!(state, State::Stopping { step, .. }
            if usize::from(step) >= self.service.definition.policy.stop.len());
        assert!(!is_killed || self.service.state == state, "KILL was put off");
    }

    /// Only one that is up can hang, and that is its death, which counts.
    fn hang(&mut self) {
        let was_up = matches!(self.service.state, State::Up { .. });
        self.tell(Event::Hung);
        assert!(!was_up || matches!(self.service.state, State::Stopping { .. }));
        assert!(!was_up || self.service.fault == Some(Fault::HUNG));
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
        true
    }

    /// What comes of looking after it.
    fn mind(&mut self, it: Move) -> bool {
        if matches!(it, Move::Ail) && self.main.is_some() {
            let was_up = matches!(self.service.state, State::Up { .. });
            self.tell(Event::Unhealthy);
            let is_stopping = matches!(self.service.state, State::Stopping { .. });
            assert!(!was_up || is_stopping, "it is ill, and runs on");
            return true;
        }
        matches!(it, Move::Again) && self.again()
    }

    /// It is run again when it is time to, not before, and never while it runs.
    fn again(&mut self) -> bool {
        let before = self.service.state;
        let Some(at) = self.service.next_run() else {
            self.tell(Event::Again);
            assert_eq!(self.service.state, before, "nobody asked for that");
            return false;
        };
        if self.now < at {
            self.tell(Event::Again);
            assert_eq!(self.service.state, before, "before its time");
        }
        self.now = self.now.max(at);
        self.tell(Event::Again);
        assert_eq!(self.service.state, State::Waiting, "its time has passed in vain");
        true
    }

    fn is_like(&self, other: &World) -> bool {
        let (it, that) = (&self.service, &other.service);
        (it.want, it.stay, it.state, it.stage) == (that.want, that.stay, that.state, that.stage)
            && (it.strikes, it.row, it.starts) == (that.strikes, that.row, that.starts)
            && (it.ordered, it.fault, it.last()) == (that.ordered, that.fault, that.last())
            && (self.now, self.main, self.leftover) == (other.now, other.main, other.leftover)
    }

    fn crash(&mut self, all_die: bool) {
        if all_die {
            (self.main, self.leftover) = (None, None);
            // Nobody knows what a finish has done, so there is another.
            self.owes_finish |= matches!(self.service.state, State::Finishing { .. });
        }
        let found = match (self.main, self.leftover) {
            (Some(pid), _) => Remains::Process(self.job, pid, self.now),
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
        // A start of which nothing is left begins anew.
        let is_anew = self.service.state == State::Waiting && self.service.stage == Stage::Fresh;
        self.owes_finish &= !(is_anew && matches!(had.state, State::Starting { .. }));
        // And one that had been set up is so still.
        self.is_set_up |= had.stage == Stage::Forked && self.service.stage == Stage::Prepared;
        assert!(self.service.starts >= had.starts, "a start was lost");
        if had.state.deadline().is_some() && self.service.state == had.state {
            let deadline = |service: &Service| service.state.deadline();
            assert_eq!(deadline(&self.service), deadline(&had), "a deadline was moved");
        }
        // What it said meanwhile was not heard.
        if self.care().is_heard() {
            self.tell(Event::Unheard);
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
        self.service.definition.policy.kind == Kind::Forking && self.job == Job::Main
    }

    fn care(&self) -> &HeldCare {
        &self.service.definition.policy.care
    }

    fn turn(&mut self) {
        let job = self.service.job();
        let action = self.service.step(Event::Go, self.now, 0);
        assert_eq!(action, Some(Action::Spawn(job)), "its turn came and it did not take it");
        assert!(self.service.state.awaits_turn());
        assert!(self.main.is_none() && self.leftover.is_none(), "it would run twice");
        match job {
            Job::Finish => assert!(self.owes_finish, "a finish after nothing"),
            Job::Main | Job::Setup => assert!(self.service.is_wanted(), "nobody wants it"),
        }
        let is_ready = self.is_set_up || !self.care().setup;
        assert!(job != Job::Main || is_ready, "it was not set up");
    }

    fn tell(&mut self, event: Event) {
        let action = self.service.step(event, self.now, 12345);
        self.obey(action);
    }

    fn obey(&mut self, action: Option<Action>) {
        match action {
            None => {}
            Some(Action::Spawn(_)) => panic!("spawned out of turn"),
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
        let has_process = self.main.is_some() || self.leftover.is_some();
        assert_eq!(state.is_alive(), has_process || state == State::Ending);
        if !state.is_alive() && self.service.stage == Stage::Fresh {
            assert!(!self.owes_finish, "its finish was left out");
        }
        match state {
            State::Down | State::Done | State::Failed => {
                let is_down = state == State::Down;
                assert_eq!(is_down, !self.service.is_wanted(), "wanted, and down");
            }
            // Its turn comes.
            State::Ending => {}
            State::Waiting => assert!(self.service.is_wanted(), "waits, and nobody wants it"),
            State::Listening => {
                let start = self.service.definition.policy.start;
                assert_eq!(start, Start::OnDemand, "waits for a connection that cannot come");
                assert!(self.service.is_wanted(), "listens, and nobody wants it");
            }
            State::Unmet { .. } => assert!(self.service.is_wanted(), "unmet, and nobody wants it"),
            State::Up { .. } => assert!(self.service.is_wanted(), "unwanted, and not stopping"),
            State::Quarantined { .. } => {
                assert!(state.deadline().is_some() && self.service.is_wanted());
            }
            State::Starting { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Finishing { .. } => {
                assert!(state.deadline().is_some(), "waits for ever");
            }
        }
        assert!(self.service.next_run().is_none_or(|_| self.main.is_none()), "two at once");
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

fn care(setup: bool, finish: bool, ready: Ready) -> HeldCare {
    let mut care = HeldCare::default();
    let made = care.make();
    (made.setup, made.finish, made.ready) = (setup, finish, ready);
    care
}

/// Work that is done again and again.
fn every() -> HeldCare {
    let mut care = care(false, true, Ready::Exec);
    care.make().minding.every = Some(Duration::from_secs(60));
    care
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
        Policy { stop: Box::new([step(15, 1), step(2, 3), step(3, 2)]), jitter: 0, ..base.clone() },
        Policy { care: care(true, true, Ready::Exec), strikes: 3, ..base.clone() },
        Policy { care: every(), kind: Kind::Oneshot, ..base.clone() },
        Policy { care: every(), kind: Kind::Oneshot, restart: Restart::Never, ..base.clone() },
        Policy { care: care(false, true, Ready::Uptime), kind: Kind::Oneshot, ..base.clone() },
        Policy {
            care: care(true, false, Ready::Uptime),
            restart: Restart::OnFailure,
            ..base.clone()
        },
        Policy { care: care(false, true, Ready::Notify), strikes: 2, ..base.clone() },
        Policy { care: care(false, false, Ready::Notify), kind: Kind::Forking, ..base },
    ]
}

/// Tells what led to a panic, the last move first.
struct Trail(Move);

impl Drop for Trail {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("after {:?}", self.0);
        }
    }
}

fn walk(world: &World, depth: usize) -> u64 {
    if depth == 0 || world.forgotten {
        return 1;
    }
    // A crash costs more than the other moves, and many of them nothing new.
    let moves = MOVES.into_iter().filter(|it| depth > 3 || !matches!(it, Move::Crash(_)));
    moves.fold(1, |count, it| {
        let mut next = world.clone();
        let _trail = Trail(it);
        // From where it was before, all is played already.
        let is_new = next.make(it) && !next.is_like(world);
        if is_new { count + walk(&next, depth - 1) } else { count }
    })
}

#[test]
fn no_short_history_loses_or_doubles_a_process_or_waits_for_ever() {
    for policy in policies() {
        // What is different about the others shows earlier.
        let depth = if policy.start == Start::Auto { 6 } else { 5 };
        let mut world = World::new(policy);
        world.tell(Event::Arrive);
        let mut count = walk(&world, depth);
        if world.care().setup {
            assert!(world.make(Move::Fork) && world.make(Move::Die(true, false)));
            count += walk(&world, depth);
        }
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
        job in prop::sample::select(&[Job::Main, Job::Setup, Job::Finish][..]),
        (kind, pid, since, now) in (0..3, 2..1000_i32, any::<u64>(), any::<u32>()),
    ) {
        let found = match kind {
            0 => Remains::Process(job, Pid(pid), Moment(since)),
            1 => Remains::Group(Pid(pid)),
            _ => Remains::Nothing,
        };
        let mut world = World::new(policy.clone());
        world.now = Moment(u64::from(now));
        world.main = (kind == 0).then_some(Pid(pid));
        world.leftover = (kind == 1).then_some(Pid(pid));
        world.service = service;
        // Its file is known.
        world.service.definition = Definition { text: Box::from(*b"#"), policy: policy.into() };
        let action = world.service.take_up(found, world.now, 12345);
        world.obey(action);
        world.check();
        // An hour is what one that is listened to can ask for.
        let latest = world.now.after(Duration::from_secs(3600));
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
        // The finish that is next is not waited for any more.
        world.make(Move::Kill);
        assert_eq!(world.service.state, State::Down);
    }
}
