//! Who runs, told from outside.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::client::request;
use crate::common::{Going, Place, Signal, is_alive, stat, strings};

/// The living processes of all services of this place, by service: those which lead
/// a session, as main processes do, with the time of their birth.
pub fn mains(place: &Place) -> BTreeMap<String, Vec<(i32, String)>> {
    let mut found = BTreeMap::<String, Vec<(i32, String)>>::new();
    for pid in place.processes().into_iter().filter(|it| is_alive(*it)) {
        let Some(stat) = stat(pid) else { continue };
        // The session is field 6 of proc_pid_stat(5), the birth is field 22; the
        // fields here begin with the third.
        let (session, born) = (&stat[3], stat[19].clone());
        let environ = strings(pid, "environ");
        let name = environ.iter().find_map(|it| it.strip_prefix("GOING_SERVICE="));
        if let Some(name) = name.filter(|_| *session == pid.to_string()) {
            found.entry(name.to_owned()).or_default().push((pid, born));
        }
    }
    found
}

/// The one main process of a service.
#[track_caller]
pub fn main_of(place: &Place, name: &str) -> (i32, String) {
    let all = mains(place);
    let of = all.get(name).cloned().unwrap_or_default();
    assert_eq!(of.len(), 1, "{name} runs as {of:?}");
    of[0].clone()
}

/// Kills it as the kernel does when there is no memory left.
pub fn kill(going: &mut Going) {
    going.signal(Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
}

/// Whether a file is there.
pub fn exists(place: &Place, name: &str) -> bool {
    fs::symlink_metadata(place.dir.join(name)).is_ok()
}

/// Whether going is there and answers. A child that is not its program yet can keep
/// the socket of a dead one open, and then nobody does.
pub fn is_answered(place: &Place, lines: &[&str]) -> bool {
    let Ok(mut stream) = UnixStream::connect(place.path("run/control")) else { return false };
    let mut answer = [0; 9];
    let is_said = stream.write_all(request(lines).as_bytes()).is_ok();
    is_said && stream.read_exact(&mut answer).is_ok()
}
