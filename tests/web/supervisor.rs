//! supervisor's own client, from PyPI, unchanged: what it prints and exits with is
//! what it does with supervisord.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::pypi;
use super::site::{Site, users};
use crate::common::{Place, wait_until};

/// Newer setuptools are without what it needs of them.
const PACKAGES: [&str; 2] = ["supervisor==4.2.5", "setuptools<81"];

#[derive(Clone)]
struct Client {
    folder: PathBuf,
    url: String,
}

impl Client {
    /// Starts it with a pipe to talk into and a file for what it says.
    fn start(&self, words: &str, out: &str) -> Child {
        Command::new("python3")
            .args(["-u", "-W", "ignore", "-m", "supervisor.supervisorctl", "-s", &self.url])
            .args(words.split(' '))
            .env("PYTHONPATH", &self.folder)
            .stdin(Stdio::piped())
            .stdout(File::create(out).unwrap())
            .spawn()
            .unwrap()
    }

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
        let text = if text.is_empty() { String::new() } else { format!("{text}\n") };
        assert_eq!(self.run(words), (text, status), "supervisorctl {words}");
    }
}

#[test]
fn the_real_supervisorctl_works() {
    let Some(folder) = pypi::fetch(&PACKAGES) else { return };
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
    client.says("update", "", 0);
    client.says("version", "4.2.5", 0);
    assert!(client.run("avail").0.contains("web                              in use    auto "));
    assert!(client.run("maintail").0.contains("web: starting -> up"));
    client.says("shutdown", "Shut down", 0);
    assert_eq!(going.wait_exit(), 0);
    // going-web is still there, so this is no refused connection.
    let (text, status) = client.run("status");
    assert!(status == 1 && text.contains("no going here"), "{status} {text}");
}

#[test]
fn the_real_supervisorctl_follows_and_reads_files_again() {
    let Some(folder) = pypi::fetch(&PACKAGES) else { return };
    let place = Place::new();
    place.service(
        "talk",
        "cmd=sh -c 'echo hello; while read it; do echo \"got $it\"; done'\nstdin=pipe\n",
    );
    place.service("db", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "stdout=log"]);
    going.wait_all_started(["talk", "db"]);
    let site = Site::open(&place, &["--users", &users(&place)]);
    let client = Client { folder, url: format!("unix://{}", site.socket) };
    wait_until("all are up", || site.get("/readyz").status == 200);

    let mut tail = client.start("tail -f talk", &place.path("tail"));
    wait_until("the old lines", || place.read("tail").contains(" hello\n"));
    let mut fg = client.start("fg talk", &place.path("fg"));
    let mut input = fg.stdin.take().unwrap();
    wait_until("it listens", || place.read("fg").contains(" hello\n"));
    input.write_all(b"this\n").unwrap();
    wait_until("it answers", || place.read("fg").contains(" got this\n"));
    wait_until("the others see it", || place.read("tail").contains(" got this\n"));
    for child in [&mut tail, &mut fg] {
        let _ = child.kill();
        let _ = child.wait();
    }

    // Over the network, with a name and a password.
    let afar = Client { url: format!("http://127.0.0.1:{}", site.port), ..client.clone() };
    afar.says("-u ann -p secret restart db", "db: stopped\ndb: started", 0);
    afar.says("-u eve -p secret stop db", "FAILED: you may only look", 1);
    let (told, status) = afar.run("-u ann -p wrong status db");
    assert!(told.contains("Server requires authentication") && status != 0, "{status} {told}");

    client.says("remove db", "ERROR: process/group still running: db", 1);
    client.says("add db", "ERROR: process group already active", 0);
    client.says("add nope", "ERROR: no such process/group: nope", 1);
    // A file that is wrong is told, and what runs goes on.
    place.service("db", "cmd=sleep 1000\nfoo=1\n");
    going.wait_for("*unknown key \"foo\"*");
    let (told, status) = client.run("reread");
    assert!(told.starts_with("ERROR: CANT_REREAD: ") && told.contains("foo"), "{told}");
    assert_eq!((status, client.run("status db").1), (1, 0));
    place.remove("db");
    going.wait_for("db: stopped *");
    client.says("update", "", 0);
    client.says("status db", "db: ERROR (no such process)", 4);
    client.says("stop all", "talk: stopped", 0);
    client.says("start all", "talk: started", 0);
    client.says("restart all", "talk: stopped\ntalk: started", 0);
    client.says("signal CONT all", "talk: signalled", 0);
    client.says("clear all", "talk: cleared", 0);
    client.says("reload", "Restarted supervisord", 0);
    client.says("pid nope", "No such process nope", 1);
    client.says("foo", "*** Unknown syntax: foo", 1);
}
