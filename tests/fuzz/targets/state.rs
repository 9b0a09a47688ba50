//! A state file that anybody could have written: reading must end, believe nothing
//! that cannot be, and read again what it writes; and no service may be taken up in a
//! state in which nothing would ever happen.

#![no_main]

use going::config::Policy;
use going::supervise::record::{self, BIRTH_AT, Birth, Entry, Header, SIZE, reseal};
use going::supervise::{Definition, Event, Job, Moment, Pid, Remains, State, Supervisor};
use libfuzzer_sys::fuzz_target;

const NOW: Moment = Moment(1 << 40);

fuzz_target!(|bytes: &[u8]| {
    let (&kind, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let mut block = [0; SIZE];
    for (place, byte) in block.iter_mut().zip(bytes) {
        *place = *byte;
    }
    // As it is, and with checksums that are right.
    for _ in 0..2 {
        if let Ok(header) = Header::decode(&block) {
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
        if let Some(birth) = Birth::decode(&block) {
            assert!(birth.pid.0 > 1);
            assert_eq!(birth.encode(), block[BIRTH_AT..]);
        }
        life(&block, kind);
        reseal(&mut block);
    }
});

fn life(block: &[u8], kind: u8) {
    let Entry::Life(record) = record::decode(block) else { return };
    let name = record.name().to_owned();
    let definition = Definition { text: Box::new([]), policy: Policy::default().into() };
    let service = record.into_service(definition.clone());
    // It is read as it is written.
    let Entry::Life(again) = record::decode(&record::encode(&service)) else {
        panic!("it cannot be read again");
    };
    assert_eq!(format!("{:?}", again.into_service(definition)), format!("{service:?}"));
    let job = [Job::Main, Job::Setup, Job::Finish][usize::from(kind / 3 % 3)];
    let found = match kind % 3 {
        0 => Remains::Process(job, Pid(7), Moment(u64::from(kind))),
        1 => Remains::Group(Pid(7)),
        _ => Remains::Nothing,
    };
    let mut all = Supervisor::new(1);
    let slot = all.adopt(service, found, NOW).expect("a place");
    assert_eq!(all.find(&name), Some(slot));
    while all.next_outcome().is_some() {}
    let state = all.get(slot).expect("the service").state;
    assert_eq!(state.pid().is_some(), kind % 3 == 0, "{state:?}");
    assert_eq!(state.awaits_turn(), all.has_turns());
    // It can be ended, and then there is nothing left of it.
    all.step(slot, Event::Stop, NOW);
    all.step(slot, Event::Kill, NOW);
    if state.pid().is_some() {
        let exit = going::supervise::Exit::Unknown;
        all.step(slot, Event::Exited { exit, left: false }, NOW);
    }
    all.step(slot, Event::Cleared, NOW);
    assert_eq!(all.get(slot).expect("the service").state, State::Down);
}
