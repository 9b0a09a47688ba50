//! The services of the world: of each kind it is known how it is once nothing is done
//! to it any more.

use std::fmt::Write;

use crate::common::Place;

/// How it is with a service at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A program that stays.
    Plain,
    /// Two processes in a group.
    Group,
    /// A daemon that leaves its parent.
    Forking,
    /// Numbered lines for its log.
    Talker,
    /// Dies all the time.
    Restless,
    /// Needs another one.
    Needy,
    /// Its setup never ends.
    InSetup,
    /// Told to stop, and deaf.
    Deaf,
    /// Died once, held for an hour.
    Held,
    /// Given up.
    Failed,
    /// A oneshot that has done its work.
    Done,
    /// Nobody has asked for it.
    Demand,
    /// Waits in a condition that is not met.
    Unmet,
}

pub use Kind::*;

/// All kinds, and how many there are of each in the smallest world.
pub const ALL: [(Kind, u32); 13] = [
    (Plain, 8),
    (Group, 2),
    (Forking, 2),
    (Talker, 1),
    (Restless, 1),
    (Needy, 2),
    (InSetup, 1),
    (Deaf, 1),
    (Held, 2),
    (Failed, 1),
    (Done, 2),
    (Demand, 1),
    (Unmet, 1),
];

impl Kind {
    /// Whether it may be stopped, started, restarted and edited, and always comes to
    /// the same rest.
    pub fn is_movable(self) -> bool {
        matches!(self, Plain | Group | Forking | Talker | Needy)
    }

    /// The state in which it rests while it is wanted.
    pub fn state(self) -> &'static str {
        match self {
            Plain | Group | Forking | Talker | Needy => "up",
            Restless => "",
            InSetup => "starting",
            Deaf => "stopping",
            Held => "quarantined",
            Failed => "failed",
            Done => "done",
            Demand => "listening",
            Unmet => "down",
        }
    }

    /// Whether it has a process then.
    pub fn runs(self) -> bool {
        matches!(self, Plain | Group | Forking | Talker | Needy | InSetup | Deaf)
    }

    /// Its file. `version` is in the environment of its processes.
    pub fn text(self, place: &Place, name: &str, version: u32) -> String {
        let starts = place.path(&format!("{name}.starts"));
        let once = |then: &str| format!("cmd=sh -c 'echo $$ >>{starts}; {then}'\n");
        let quick = "min-uptime=0s\nburst=none\nbackoff=20ms\nbackoff-max=100ms\n";
        let mut text = match self {
            Plain | Unmet => "cmd=sleep 100000\n".to_owned(),
            Group => "cmd=sh -c 'sleep 100000 & exec sleep 100000'\n".to_owned(),
            Forking => "cmd=sh -c 'setsid sleep 100000 & exit 0'\ntype=forking\n".to_owned(),
            Talker => format!("cmd=sh {}\nstdout=log\nlog-timestamps=no\n", talker(place)),
            Restless => "cmd=sh -c 'exec sleep 0.03'\n".to_owned(),
            Needy => "cmd=sleep 100000\nneeds=plain-0\n".to_owned(),
            InSetup => "cmd=false\nsetup=sleep 100000\nstart-timeout=10h\n".to_owned(),
            Deaf => {
                let script = place.path("deaf.sh");
                format!("cmd=sh {script} {starts}\nstop=TERM 10h KILL\n")
            }
            Held => once("exit 3") + "backoff=10h\nbackoff-max=10h\njitter=0\n",
            Failed => once("exit 3") + "strikes=1\n",
            Done => once("exit 0") + "type=oneshot\n",
            Demand => {
                let socket = place.path(&format!("{name}.sock"));
                format!("cmd=sleep 100000\nlisten=unix:{socket}\nstart=on-demand\n")
            }
        };
        if self.is_movable() || self == Restless {
            text += quick;
        }
        if self == Unmet {
            text += "condition=path:/nonexistent\n";
        }
        let _ = writeln!(text, "env=VERSION={version}");
        text
    }
}

/// A script that says who it is and counts.
fn talker(place: &Place) -> String {
    place.path("talk.sh")
}

/// What the services of the world run.
pub fn write_scripts(place: &Place) {
    place.write(
        "talk.sh",
        "n=0\nwhile :; do n=$((n + 1)); echo \"$$ $n\"; \
         test $((n % 50)) -gt 0 || sleep 0.05; done\n",
    );
    place.write("deaf.sh", "trap '' TERM\necho $$ >>$1\nwhile :; do sleep 1000; done\n");
}
