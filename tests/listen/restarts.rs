//! Clients without end, and a service that is restarted all the time: nobody is
//! refused, and everybody is answered.

use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::client::Client;
use crate::common::{Place, wait_until};
use crate::{LIMIT, free_port, server, talk};

/// How many clients there are at the same time.
const CLIENTS: usize = 4;

/// What clients came to.
#[derive(Default)]
pub struct Crowd {
    pub served: AtomicUsize,
    is_over: AtomicBool,
    failed: Mutex<Vec<io::Error>>,
}

impl Crowd {
    /// Talks on one connection after the other until it is over. Of two clients one
    /// comes by TCP, and the other through a file.
    fn talk(&self, number: usize, port: u16, path: &str) {
        while !self.is_over.load(Ordering::Relaxed) {
            let answer = if number % 2 == 0 {
                TcpStream::connect(("127.0.0.1", port)).and_then(|stream| {
                    stream.set_read_timeout(Some(LIMIT))?;
                    talk(stream)
                })
            } else {
                UnixStream::connect(path).and_then(|stream| {
                    stream.set_read_timeout(Some(LIMIT))?;
                    talk(stream)
                })
            };
            match answer {
                Ok(text) if !text.is_empty() => self.served.fetch_add(1, Ordering::Relaxed),
                Ok(_) => return self.fail(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => return self.fail(error),
            };
        }
    }

    fn fail(&self, error: io::Error) {
        self.failed.lock().unwrap().push(error);
    }

    /// Waits for so many more to be served; nobody may have failed.
    #[track_caller]
    pub fn wait_for(&self, more: usize) {
        let enough = self.served.load(Ordering::Relaxed) + more;
        wait_until("clients to be served", || {
            let failed = self.failed.lock().unwrap();
            assert!(failed.is_empty(), "after {:?}: {failed:?}", self.served);
            self.served.load(Ordering::Relaxed) >= enough
        });
    }
}

/// Does something while clients come and go, none of whom may fail.
#[track_caller]
pub fn under_load(port: u16, path: &str, work: impl FnOnce(&Crowd)) -> usize {
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let crowd = Crowd::default();
    thread::scope(|scope| {
        // Also if the work fails, or the clients would go on for ever.
        let _end = End(&crowd.is_over);
        for number in 0..CLIENTS {
            let crowd = &crowd;
            scope.spawn(move || crowd.talk(number, port, path));
        }
        work(&crowd);
    });
    let failed = crowd.failed.lock().unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    crowd.served.load(Ordering::Relaxed)
}

/// A service that listens in two ways, and is made to live shortly.
pub fn web(place: &Place, server: &str) -> (u16, String) {
    let (port, path) = (free_port(), place.path("s"));
    let text = format!("cmd={server}\nlisten=tcp:{port}\nlisten=unix:{path}\n");
    place.service("web", &(text + "min-uptime=0\nburst=none\n"));
    (port, path)
}

#[test]
fn nobody_is_refused_in_ten_thousand_connections_over_fifty_restarts() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let (port, path) = web(&place, &server);
    let mut going = place.start(&[]);
    going.wait_started("web");
    let served = under_load(port, &path, |crowd| {
        let mut client = Client::connect(&place);
        for _ in 0..50 {
            crowd.wait_for(200);
            client.order(&["command=restart", "name=web"]);
            going.wait_started("web");
        }
        crowd.wait_for(10);
    });
    assert!(served >= 10_000, "{served}");
    assert_eq!(going.count("web: stopped after *(exit status 0)"), 50);
    going.stop();
}

/// Those who were being served may be lost with it, but nobody who came later: they
/// wait until somebody serves them again.
#[test]
fn whoever_comes_while_nobody_serves_waits() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let port = free_port();
    let text = |more: &str| format!("listen=tcp:{port}\nbackoff=1h\nbackoff-max=1h\n{more}\n");
    place.service("web", &text("cmd=false"));
    let mut going = place.start(&[]);
    going.wait_for("web terminated *quarantined*");
    let waiting: Vec<_> =
        (0..100).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    // Another command, but the same socket.
    place.service("web", &text(&format!("cmd={server}")));
    let pid = going.wait_started("web");
    for stream in waiting {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        assert_eq!(talk(stream).unwrap(), pid.to_string());
    }
    going.stop();
}
