//! A line in the system's log.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::super::event::Alert;
use super::Failure;
use crate::sys;

/// By the numbers of syslog(3).
const WARNING: u8 = 4;
const NOTICE: u8 = 5;

/// Sends it.
pub fn send(facility: u8, alert: &Alert) -> Result<(), Failure> {
    let priority = facility | if alert.is_grave() { WARNING } else { NOTICE };
    let line = format!("<{priority}>going-alert: {}", alert.get("summary"));
    let sent = UnixDatagram::unbound().and_then(|socket| {
        socket.set_write_timeout(Some(Duration::from_secs(5)))?;
        socket.send_to(line.as_bytes(), "/dev/log")
    });
    let failed = |error| Failure::Passing(format!("/dev/log: {}", sys::explain(&error)));
    sent.map(|_| ()).map_err(failed)
}
