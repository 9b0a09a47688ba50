//! supervisor's own client, from PyPI, unchanged: what it prints and exits with is
//! what it does with supervisord.

use std::path::PathBuf;
use std::process::Command;

use super::pypi;
use super::site::Site;
use crate::common::{Place, wait_until};

struct Client {
    folder: PathBuf,
    url: String,
}

impl Client {
    /// What it prints, and its exit status.
    fn run(&self, words: &str) -> (String, i32) {
        let output = Command::new("python3")
            .args(["-W", "ignore", "-m", "supervisor.supervisorctl", "-s", &self.url])
            .args(words.split(' '))
            .env("PYTHONPATH", &self.folder)
            .output()
            .unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
    }

    #[track_caller]
    fn says(&self, words: &str, text: &str, status: i32) {
        assert_eq!(self.run(words), (format!("{text}\n"), status), "supervisorctl {words}");
    }
}

#[test]
fn the_real_supervisorctl_works() {
    let Some(folder) = pypi::fetch(&["supervisor==4.2.5", "setuptools<81"]) else { return };
    let place = Place::new();
    place.service("web", "cmd=sh -c 'echo hello; exec sleep 1000'\ntag=front\n");
    place.service("db", "cmd=sleep 1000\n");
    place.service("dies", "cmd=sh -c 'exit 3'\nstrikes=1\n");
    place.service("bare", "cmd=/no/such/program\nstrikes=1\n");
    let mut going = place.start(&["-o", "stdout=log"]);
    going.wait_all_started(["web", "db"]);
    let site = Site::open(&place, &[]);
    let client = Client { folder, url: format!("unix://{}", site.socket) };
    let state = |name: &str| {
        let service = site.get(&format!("/api/v1/services/{name}")).json();
        service["state"].as_str().unwrap_or_default().to_owned()
    };
    wait_until("all is settled", || {
        state("dies") == "failed" && state("bare") == "failed" && state("web") == "up"
    });

    let (table, status) = client.run("status");
    assert_eq!(status, 3, "{table}");
    let line = |name: &str| table.lines().find(|it| it.starts_with(name)).unwrap().to_owned();
    assert!(line("web ").starts_with("web                              RUNNING   pid "), "{table}");
    assert!(line("dies").contains(" FATAL     Exited too quickly"), "{table}");
    assert!(line("bare").contains(" FATAL "), "{table}");
    assert_eq!(client.run("status web db").1, 0);
    client.says("status nope", "nope: ERROR (no such process)", 4);

    client.says("start web", "web: ERROR (already started)", 0);
    client.says("stop web", "web: stopped", 0);
    client.says("stop web", "web: ERROR (not running)", 0);
    client.says("pid web", "0", 7);
    client.says("start web", "web: started", 0);
    client.says("restart db", "db: stopped\ndb: started", 0);
    client.says("start dies", "dies: ERROR (abnormal termination)", 7);
    client.says("start bare", "bare: ERROR (no such file)", 1);
    client.says("start nope", "nope: ERROR (no such process)", 1);
    client.says("start nope:*", "nope: ERROR (no such group)", 2);
    client.says("stop front:*", "web: stopped", 0);
    client.says("start front:*", "web: started", 0);
    client.says("signal HUP nope", "nope: ERROR (no such process)", 1);
    client.says("signal FOO web", "web: ERROR (bad signal name)", 1);
    client.says("signal CONT web", "web: signalled", 0);
    client.says("pid", &going.pid.to_string(), 0);
    client.says("tail nope", "nope: ERROR (no such process name)", 1);
    assert!(client.run("tail web").0.contains(" hello\n"));
    client.says("clear web", "web: cleared", 0);
    client.says("reread", "No config updates to processes", 0);
    assert_eq!(client.run("update"), (String::new(), 0));
    client.says("version", "4.2.5", 0);
    assert!(client.run("avail").0.contains("web                              in use    auto "));
    assert!(client.run("maintail").0.contains("web: starting -> up"));
    client.says("shutdown", "Shut down", 0);
    assert_eq!(going.wait_exit(), 0);
    // going-web is still there, so this is no refused connection.
    let (text, status) = client.run("status");
    assert!(status == 1 && text.contains("no going here"), "{status} {text}");
}
