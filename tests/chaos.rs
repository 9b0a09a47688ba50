//! All that can happen to going, mixed at random: what must be so is looked at from
//! outside, by the processes there are. A failure prints its seed and what was done;
//! `CHAOS_SEED=N cargo test --test chaos` does the same again, though not at the same
//! moments. `CHAOS_SECONDS` says for how long, `CHAOS_DEATHS` how often going dies.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs, threads and clocks"
)]

mod common;

#[path = "chaos/audit.rs"]
mod audit;
#[path = "chaos/deeds.rs"]
mod deeds;
#[path = "chaos/kinds.rs"]
mod kinds;
#[path = "adopt/mains.rs"]
#[expect(dead_code, reason = "it can more than is needed here")]
mod mains;
#[path = "chaos/world.rs"]
mod world;

#[path = "control/client.rs"]
#[expect(dead_code, reason = "as above")]
mod client;

use std::env;
use std::time::{Duration, Instant};

use world::World;

/// So often going is killed in a world of two hundred services.
const DEATHS: u64 = 200;

/// So long everything is mixed, in seconds.
const SECONDS: u64 = 60;

/// After so many deeds the world must come to rest.
const DEEDS: u32 = 8;

fn given(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|it| it.parse().ok())
}

fn seed() -> u32 {
    let seed = given("CHAOS_SEED").and_then(|it| u32::try_from(it).ok());
    seed.unwrap_or_else(|| std::process::id() | 1)
}

/// Two hundred services, of every kind, in every state that lasts; going dies at any
/// moment, and never comes to rest before it dies again.
#[test]
fn killed_at_any_moment_it_loses_doubles_and_forgets_nothing() {
    let mut world = World::new(seed(), 8, None);
    let deaths = given("CHAOS_DEATHS").unwrap_or(DEATHS);
    for death in 1..=deaths {
        if world.dice.roll(3) > 0 {
            deeds::small(&mut world);
        }
        world.dawdle();
        deeds::kill_going(&mut world);
        world.audit();
        if death % 20 == 0 {
            world.come_to_rest();
        }
    }
    world.end();
}

#[test]
fn whatever_comes_together_everything_is_as_it_should_be() {
    let disk = world::Disk::new();
    let mut world = World::new(seed(), 2, disk);
    let limit = Duration::from_secs(given("CHAOS_SECONDS").unwrap_or(SECONDS));
    let start = Instant::now();
    if limit >= Duration::from_secs(300) {
        // There is time for it.
        deeds::stand_still_for(&mut world, Duration::from_secs(59));
        world.come_to_rest();
    }
    while start.elapsed() < limit {
        for _ in 0..=world.dice.roll(DEEDS) {
            deeds::any(&mut world);
            world.dawdle();
            world.audit();
        }
        world.come_to_rest();
    }
    world.end();
}
