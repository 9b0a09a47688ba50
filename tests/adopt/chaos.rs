//! Going killed at random moments under load, hundreds of times. What must be so is
//! looked at from outside, after each death, by the processes there are.

use std::collections::BTreeMap;
use std::env;

use crate::client::Client;
use crate::common::{Place, Signal, wait_until};
use crate::{is_answered, kill, mains};

/// More by hand: `GOING_DEATHS=2000 cargo test --test adopt chaos`.
const DEATHS: u32 = 200;

/// Services that stay, each of which must be the same process to the end.
const STEADY: usize = 30;

/// Xorshift: a failure is tried again by the number it prints.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, below: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % below
    }
}

/// Spins for a moment that no clock of ours measures: a sleep would always end at
/// the same place of the loop that is killed.
fn dawdle(dice: &mut Dice) {
    for _ in 0..dice.roll(3_000_000) {
        std::hint::spin_loop();
    }
}

/// No service has two main processes. A child that was forked a moment ago is one,
/// too; it ends before it becomes its program, so it is looked at twice.
#[track_caller]
fn assert_no_doubles(place: &Place, seed: u32) {
    let doubles = || {
        let all = mains(place).into_iter().filter(|it| it.1.len() > 1);
        all.collect::<BTreeMap<_, _>>()
    };
    let first = doubles();
    if !first.is_empty() {
        let again = doubles();
        let stays = first.iter().find(|it| again.get(it.0) == Some(it.1));
        assert!(stays.is_none(), "seed {seed}: twice at once: {first:?}, then {again:?}");
    }
}

/// Some that stay, some that die all the time, one that is held, one to be put down.
fn write_services(place: &Place) {
    for number in 0..STEADY {
        place.service(&format!("steady-{number}"), "cmd=sleep 1000\n");
    }
    for number in 0..6 {
        let quick = "min-uptime=0\nburst=none\nbackoff=10ms\n";
        let text = format!("cmd=sh -c 'exec sleep 0.0{number}'\n{quick}");
        place.service(&format!("dies-{number}"), &text);
    }
    place.service("held", "cmd=false\nbackoff=1h\nbackoff-max=1h\njitter=0\n");
    place.service("down", "cmd=sleep 1000\n");
}

#[test]
fn killed_at_any_moment_it_loses_doubles_and_forgets_nothing() {
    let deaths = env::var("GOING_DEATHS").ok().and_then(|it| it.parse().ok()).unwrap_or(DEATHS);
    let seed = std::process::id() | 1;
    let mut dice = Dice(seed);
    let place = Place::new();
    write_services(&place);
    let mut all = vec![place.start(&["-q"])];
    let mut client = Client::connect(&place);
    client.order(&["command=stop", "name=down"]);
    let held = client.wait_state("held", "quarantined").number("next-ms").unwrap();
    wait_until("all to run", || {
        (0..STEADY).all(|it| mains(&place).contains_key(&format!("steady-{it}")))
    });
    let steady = |place: &Place| {
        let mut all = mains(place);
        all.retain(|name, _| name.starts_with("steady-"));
        all
    };
    let at_first = steady(&place);
    let mut is_there = false;
    for _ in 0..deaths {
        match dice.roll(4) {
            // Something comes and goes, too.
            0 if is_there => place.remove("visitor"),
            0 => place.service("visitor", "cmd=sleep 1000\n"),
            1 => drop(is_answered(&place, &["command=restart", "name=dies-3"])),
            _ => {}
        }
        is_there = crate::exists(&place, "going.d/visitor");
        dawdle(&mut dice);
        kill(all.last_mut().unwrap());
        assert_no_doubles(&place, seed);
        all.push(place.start(&["-q"]));
        // The old ones stay where they are: their end would be that of all services.
        if dice.roll(2) == 0 {
            wait_until("an answer", || is_answered(&place, &["command=ping"]));
        }
    }
    let mut client = Client::connect(&place);
    for number in 0..6 {
        let name = format!("dies-{number}");
        wait_until(&format!("{name} to be started again"), || {
            let before = mains(&place).remove(&name);
            before.is_some() && mains(&place).remove(&name) != before
        });
    }
    assert_eq!(steady(&place), at_first, "seed {seed}: those that should have stayed did not");
    assert_eq!(client.wait_state("down", "down").get("want"), Some("down"));
    let now = client.wait_state("held", "quarantined");
    assert_eq!(now.number("strikes"), Some(1));
    assert!(now.number("next-ms").unwrap() < held);
    wait_until("the visitor to be there or not", || {
        mains(&place).contains_key("visitor") == is_there
    });
    assert_no_doubles(&place, seed);
    let going = all.last_mut().unwrap();
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
    assert!(mains(&place).is_empty(), "{:?}", mains(&place));
}
