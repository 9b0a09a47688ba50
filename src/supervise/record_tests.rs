//! Records, and everything that could stand in their place.

use std::collections::VecDeque;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::*;

fn moments() -> impl Strategy<Value = Moment> {
    any::<u64>().prop_map(Moment)
}

fn pids() -> impl Strategy<Value = Pid> {
    (2..=i32::MAX).prop_map(Pid)
}

fn states() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Down),
        Just(State::Waiting),
        Just(State::Listening),
        Just(State::Done),
        Just(State::Failed),
        Just(State::Ending),
        any::<u8>().prop_map(|which| State::Unmet { which }),
        (pids(), moments(), moments()).prop_map(|(pid, since, kill_at)| State::Finishing {
            pid,
            since,
            kill_at
        }),
        moments().prop_map(|until| State::Quarantined { until }),
        (pids(), moments()).prop_map(|(pid, since)| State::Up { pid, since }),
        (pids(), moments(), moments()).prop_map(|(pid, since, give_up)| State::Starting {
            pid,
            since,
            give_up
        }),
        (pids(), moments(), any::<u8>(), moments()).prop_map(|(pid, since, step, next_at)| {
            State::Stopping { pid, since, step, next_at }
        }),
        (pids(), any::<u8>(), moments()).prop_map(|(group, step, next_at)| State::Clearing {
            group,
            step,
            next_at
        }),
    ]
}

fn faults() -> impl Strategy<Value = Fault> {
    let steps = (0..STEPS.len(), any::<u8>()).prop_map(|(index, which)| STEPS[index](which));
    (steps, any::<i32>()).prop_map(|(step, errno)| Fault { step, errno })
}

fn exits() -> impl Strategy<Value = Exit> {
    prop_oneof![
        Just(Exit::Unknown),
        any::<u8>().prop_map(Exit::Code),
        (any::<u8>(), any::<bool>())
            .prop_map(|(number, core)| Exit::Signal { signal: Signal(number), core }),
    ]
}

fn strikes() -> impl Strategy<Value = Strike> {
    let first = [Strike::Short, Strike::Burst, Strike::Fault];
    let strikes = [
        &first[..],
        &[Strike::Work, Strike::Setup, Strike::Unready, Strike::Health, Strike::Watchdog],
    ]
    .concat();
    prop::sample::select(strikes)
}

fn durations() -> impl Strategy<Value = Duration> {
    (0..1_u64 << 40).prop_map(Duration::from_millis)
}

fn deaths() -> impl Strategy<Value = Death> {
    let option = prop::option::of::<prop::strategy::BoxedStrategy<Exit>>;
    (
        option(exits().boxed()),
        prop::option::of(faults()),
        durations(),
        moments(),
        prop::option::of(strikes()),
        any::<bool>(),
    )
        .prop_map(|(exit, fault, ran, at, strike, ordered)| Death {
            exit,
            fault,
            ran,
            at,
            strike,
            ordered,
        })
}

fn histories() -> impl Strategy<Value = History> {
    let agos = prop::collection::vec(0..u32::MAX, 0..=BURST_MAX);
    (
        prop::collection::vec(deaths(), 0..=REMEMBERED),
        prop::option::of(deaths()),
        (1_u64 << 32..1 << 40).prop_map(Duration::from_millis),
        agos,
        prop::option::of(pids()),
    )
        .prop_map(|(recent, first, lived, agos, pid)| History {
            pid,
            recent: recent.into(),
            first,
            lived,
            deaths: agos.into_iter().map(|ago| lived - Duration::from_millis(ago.into())).collect(),
        })
}

pub fn services() -> impl Strategy<Value = Service> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u32>());
    let flags = (any::<bool>(), any::<bool>(), prop::sample::select(&STAGES[..]));
    let rest = (moments(), prop::option::of(faults()), prop::option::of(histories()));
    ("[a-zA-Z0-9][a-z0-9]{0,63}", states(), numbers, flags, rest).prop_map(
        |(
            name,
            state,
            (strikes, row, starts),
            (is_up, ordered, stage),
            (changed_at, fault, history),
        )| {
            let definition = Definition { text: Box::new([]), policy: Policy::default().into() };
            Service {
                want: if is_up { Want::Up } else { Want::Down },
                state,
                stage,
                strikes,
                row,
                starts,
                changed_at,
                ordered,
                fault,
                history: history.map(Box::new),
                ..Service::new(&name, definition)
            }
        },
    )
}

fn read(bytes: &[u8]) -> Option<Service> {
    match decode(bytes) {
        Entry::Life(record) => Some(*record.service),
        Entry::Free | Entry::Broken => None,
    }
}

proptest! {
    #[test]
    fn every_record_is_read_as_it_was_written(service in services()) {
        let again = read(&encode(&service)).expect("a record");
        assert_eq!(format!("{again:?}"), format!("{service:?}"));
    }

    /// Whatever is read can be written, and is read the same.
    #[test]
    fn any_sealed_bytes_are_read_or_refused(bytes in prop::array::uniform32(any::<u8>()), fill in any::<u8>(), at in 0..BIRTH_AT - 36) {
        let mut made_up = encode(&Service::new("web", Definition { text: Box::new([]), policy: Policy::default().into() }));
        made_up[at..at + 32].copy_from_slice(&bytes);
        made_up[at] = fill;
        if let Some(service) = read(&seal(made_up)) {
            let again = read(&encode(&service)).expect("a record");
            assert_eq!(format!("{again:?}"), format!("{service:?}"));
        }
    }

    #[test]
    fn a_damaged_record_is_not_believed(service in services(), at in 0..BIRTH_AT, flip in 1..=u8::MAX) {
        let mut bytes = encode(&service);
        bytes[at] ^= flip;
        assert!(matches!(decode(&bytes), Entry::Broken));
        assert!(matches!(decode(&bytes[..at]), Entry::Broken));
    }

    #[test]
    fn births_and_headers_are_read_as_they_were_written(
        pid in (2..1 << 22).prop_map(Pid),
        job in prop::sample::select(&[Job::Main, Job::Setup, Job::Finish][..]),
        numbers in prop::array::uniform7(any::<u64>()),
        boot in prop::array::uniform16(any::<u8>()),
        at in 0..BIRTH_SIZE,
        flip in 1..=u8::MAX,
    ) {
        let [from, to, text, values, a, b, c] = numbers;
        let birth = Birth { pid, job, born: (from, to), text, values, pipes: [a, b, c] };
        let mut record = [0; SIZE];
        record[BIRTH_AT..].copy_from_slice(&birth.encode());
        assert_eq!(Birth::decode(&record), Some(birth));
        record[BIRTH_AT + at] ^= flip;
        assert_eq!(Birth::decode(&record), None);

        let header = Header { boot, namespace: from, writer: pid, started: to };
        let mut bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Ok(header));
        bytes[at] ^= flip;
        assert!(Header::decode(&bytes).is_err());
        assert!(Header::decode(&bytes[..at]).is_err());
    }
}

#[test]
fn an_empty_place_is_nobodys_and_has_no_birth() {
    assert!(matches!(decode(&[0; SIZE]), Entry::Free));
    assert_eq!(Birth::decode(&[0; SIZE]), None);
}

#[test]
fn what_does_not_fit_is_the_oldest_of_a_burst() {
    let definition = Definition { text: Box::new([]), policy: Policy::default().into() };
    let mut service = Service::new(&"x".repeat(NAME_MAX), definition);
    let at = |second: u64| Duration::from_secs(second);
    let death = Death {
        exit: Some(Exit::Signal { signal: Signal(11), core: true }),
        fault: Some(Fault { step: Step::Capability(7), errno: -1 }),
        ran: at(1),
        at: Moment(u64::MAX),
        strike: Some(Strike::Burst),
        ordered: true,
    };
    service.history = Some(Box::new(History {
        pid: Some(Pid(7)),
        recent: VecDeque::from(vec![death; REMEMBERED]),
        first: Some(death),
        lived: at(1000),
        deaths: (0..100).map(|second| at(900 + second)).collect(),
    }));
    service.state = State::Stopping { pid: Pid(7), since: Moment(1), step: 2, next_at: Moment(3) };
    let history = read(&encode(&service)).expect("a record").history.expect("a history");
    assert_eq!(history.recent, vec![death; REMEMBERED]);
    assert_eq!(history.first, Some(death));
    let kept: VecDeque<_> = (100 - BURST_MAX..100).map(|it| at(900 + it as u64)).collect();
    assert_eq!(history.deaths, kept);
}

/// A pid may come back, but not with the same time of birth.
#[test]
fn another_process_of_the_same_pid_is_another_one() {
    let (job, born) = (Job::Main, (100, 102));
    let birth = Birth { pid: Pid(7), job, born, text: 0, values: 0, pipes: [0; 3] };
    for (pid, tick, is_it) in
        [(7, 100, true), (7, 102, true), (7, 99, false), (7, 103, false), (8, 101, false)]
    {
        assert_eq!(birth.is_of(Pid(pid), tick), is_it, "{pid} born in {tick}");
    }
}
