//! Event listeners of supervisor, by a program that does nothing but speak the
//! protocol: what it is told, and what becomes of what it does not take.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use crate::bench::PROGRAM;
use crate::common::{Going, Place, Signal, is_alive, like, send, wait_until};

/// Notes what it is told, each byte of it, and answers as the file `answer` says.
pub const LISTENER: &str = r#"
import os, sys
folder = sys.argv[1]
out = open(folder + "/heard", "ab", buffering=0)
with open(folder + "/pids", "a") as pids:
    print(os.getpid(), os.environ["SUPERVISOR_PROCESS_NAME"], os.environ["SUPERVISOR_GROUP_NAME"],
          os.environ["SUPERVISOR_SERVER_URL"], os.environ["SUPERVISOR_ENABLED"], file=pids)
while True:
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    head = sys.stdin.buffer.readline()
    if not head:
        break
    length = int(head.split(b"len:")[1])
    payload = sys.stdin.buffer.read(length)
    out.write(head + payload + b"\n--\n")
    answer = "RESULT 2\nOK"
    if os.path.exists(folder + "/answer"):
        with open(folder + "/answer") as file:
            answer = file.read()
        os.remove(folder + "/answer")
        if answer == "die":
            os._exit(3)
    sys.stdout.write(answer)
    sys.stdout.flush()
"#;

/// A `going-alert listen`, which ends with the test.
pub struct Ears {
    child: Child,
    log: String,
}

impl Ears {
    /// Of this going.
    pub fn start(place: &Place, options: &[&str], command: &[&str]) -> Ears {
        let log = place.path("listen.log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = Command::new(PROGRAM)
            .args(["listen", "-r", &place.path("run")])
            .args(options)
            .arg("--")
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Ears { child, log }
    }

    /// With the listener above.
    pub fn noting(place: &Place, options: &[&str]) -> Ears {
        place.write("listener.py", LISTENER);
        let words = ["python3", &place.path("listener.py"), &place.path("")];
        let ears = Ears::start(place, options, &words);
        wait_until("it listens", || place.read("pids").ends_with('\n'));
        ears
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Tells it to end, and waits until it did.
    pub fn stop(&mut self) {
        send(i32::try_from(self.child.id()).unwrap(), Signal::SIGTERM);
        wait_until("its end", || self.child.try_wait().unwrap().is_some());
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- going-alert listen:\n{}\n---", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A going without any services, that can be asked.
pub fn started(place: &Place) -> Going {
    let going = place.start(&[]);
    wait_until("its socket", || UnixStream::connect(place.path("run/control")).is_ok());
    going
}

/// What was heard: name and payload of each event.
pub fn heard(place: &Place) -> Vec<(String, String)> {
    let bytes = std::fs::read(place.path("heard")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut parts: Vec<&str> = text.split("\n--\n").collect();
    parts.pop();
    let event = |part: &str| {
        let (head, payload) = part.split_once('\n').unwrap();
        let name = head.split("eventname:").nth(1).unwrap().split(' ').next().unwrap();
        (name.to_owned(), payload.to_owned())
    };
    parts.into_iter().map(event).collect()
}

/// Waits for an event with a payload like this.
#[track_caller]
fn wait_heard(place: &Place, name: &str, pattern: &str) {
    wait_until(&format!("{name} {pattern:?}"), || {
        heard(place).iter().any(|(it, payload)| it == name && like(pattern, payload))
    });
}

#[test]
fn a_life_is_told_as_supervisor_tells_it() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\nbackoff=100ms\nmin-uptime=0\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    let mut ears = Ears::noting(&place, &["--events", "PROCESS_STATE", "--name", "lis"]);
    let told = place.read("pids");
    assert!(like("* lis lis http://localhost:9001 1\n", &told), "{told}");
    send(pid, Signal::SIGKILL);
    let again = going.wait_started("web");
    place.remove("web");
    wait_heard(&place, "PROCESS_STATE_STOPPING", "*");
    let about = "processname:web groupname:web from_state:";
    let expected = [
        ("PROCESS_STATE_EXITED", format!("{about}RUNNING expected:0 pid:{pid}")),
        ("PROCESS_STATE_STARTING", format!("{about}EXITED tries:0")),
        ("PROCESS_STATE_RUNNING", format!("{about}STARTING pid:{again}")),
        ("PROCESS_STATE_STOPPING", format!("{about}RUNNING pid:{again}")),
    ];
    let expected: Vec<_> = expected.map(|(name, text)| (name.to_owned(), text)).into();
    assert_eq!(heard(&place).get(..4).unwrap(), expected);
    // Each byte of the head, too.
    let first = place.read("heard");
    let length = expected[0].1.len();
    let head = format!(
        "ver:3.0 server:supervisor serial:0 pool:lis poolserial:0 \
         eventname:PROCESS_STATE_EXITED len:{length}\n{about}RUNNING "
    );
    assert!(first.starts_with(&head), "{first}");
    ears.stop();
    let pid: i32 = told.split(' ').next().unwrap().parse().unwrap();
    wait_until("its listener ended", || !is_alive(pid));
}

#[test]
fn what_is_not_taken_is_given_again() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\nmin-uptime=0\nbackoff=100ms\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    let ears = Ears::noting(&place, &["--events", "PROCESS_STATE_EXITED"]);
    place.write("answer", "RESULT 4\nFAIL");
    send(pid, Signal::SIGKILL);
    wait_until("it is told twice", || heard(&place).len() == 2);
    assert_eq!(heard(&place)[0], heard(&place)[1]);
    assert_eq!(place.read("pids").lines().count(), 1);
    assert!(ears.log().contains("PROCESS_STATE_EXITED was not taken, it is given again"));
    // Who dies with it has not taken it, nor who says what nobody understands.
    for (count, answer) in [(2, "die"), (3, "hello\n")] {
        let before = heard(&place).len();
        place.write("answer", answer);
        send(going.wait_started("web"), Signal::SIGKILL);
        wait_until("it is told twice", || heard(&place).len() == before + 2);
        assert_eq!(heard(&place)[before], heard(&place)[before + 1], "{answer}");
        assert_eq!(place.read("pids").lines().count(), count, "another one: {answer}");
    }
    assert!(ears.log().contains("a listener said \"hello\\n"), "{}", ears.log());
}

#[test]
fn listeners_share_the_work_and_the_oldest_event_goes_when_nobody_listens() {
    let place = Place::new();
    let mut going = started(&place);
    let two = ["--events", "PROCESS_GROUP_ADDED", "--pool", "2", "--buffer", "2", "--name", "p"];
    let ears = Ears::noting(&place, &two);
    wait_until("both listen", || place.read("pids").lines().count() == 2);
    let names: Vec<String> =
        place.read("pids").lines().map(|it| it.split(' ').nth(1).unwrap().to_owned()).collect();
    assert!(names.contains(&"p_00".to_owned()) && names.contains(&"p_01".to_owned()), "{names:?}");
    let pids: Vec<i32> = place
        .read("pids")
        .lines()
        .map(|it| it.split(' ').next().unwrap().parse().unwrap())
        .collect();
    place.service("first", "cmd=sleep 1000\n");
    wait_heard(&place, "PROCESS_GROUP_ADDED", "groupname:first\n");
    // One has stopped, and the other one does all of it.
    send(pids[0], Signal::SIGSTOP);
    for name in ["a", "b", "c"] {
        place.service(name, "cmd=sleep 1000\n");
        going.wait_started(name);
    }
    // At most one event is in the hands of the first.
    wait_until("two of them", || heard(&place).len() >= 3);
    send(pids[1], Signal::SIGSTOP);
    for name in ["d", "e", "f", "g", "h"] {
        place.service(name, "cmd=sleep 1000\n");
        going.wait_started(name);
    }
    wait_until("one is dropped", || ears.log().contains("pool p event buffer overflowed"));
    pids.iter().for_each(|pid| send(*pid, Signal::SIGCONT));
    wait_heard(&place, "PROCESS_GROUP_ADDED", "groupname:h\n");
    place.remove("a");
    going.wait_for("a: *");
}

#[test]
fn what_services_write_and_say_is_heard() {
    let place = Place::new();
    place.service(
        "web",
        &format!("cmd=python3 -u {}\nstderr=log\nlog-timestamps=yes\n", place.path("says.py")),
    );
    place.write(
        "says.py",
        "import os, sys, time\n\
         while not os.path.exists(sys.argv[0] + '.go'): time.sleep(0.01)\n\
         os.write(1, b'plain\\n\\xff\\n')\n\
         os.write(1, b'<!--XSUPERVISOR:BEGIN-->one\\ntwo<!--XSUPERV')\n\
         time.sleep(0.3)\n\
         os.write(1, b'ISOR:END-->')\n\
         time.sleep(1000)\n",
    );
    let mut going = place.start(&["-o", "stdout=log"]);
    let pid = going.wait_started("web");
    let events = "PROCESS_LOG,PROCESS_COMMUNICATION";
    let mut ears = Ears::noting(&place, &["--events", events]);
    wait_until("it follows the log", || {
        let log = place.path("log/web.log");
        let fds = format!("/proc/{}/fd", ears.child.id());
        let fds = std::fs::read_dir(fds).unwrap().flatten();
        let mut links = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
        links.any(|it| it.to_string_lossy() == log)
    });
    place.write("says.py.go", "");
    let about = format!("processname:web groupname:web pid:{pid}");
    wait_heard(&place, "PROCESS_COMMUNICATION_STDOUT", &format!("{about}\none\ntwo"));
    wait_heard(&place, "PROCESS_LOG_STDOUT", &format!("{about} channel:stdout\nplain\n*"));
    let all = heard(&place);
    assert!(all.iter().all(|(_, payload)| !payload.contains("--- ")), "{all:?}");
    let said = all.iter().filter(|(name, _)| name.starts_with("PROCESS_COMM"));
    assert_eq!(said.count(), 1, "{all:?}");
    let bytes = std::fs::read(place.path("heard")).unwrap();
    assert!(bytes.windows(8).any(|it| it == b"plain\n\xff\n"), "as it was written");
    ears.stop();
}

#[test]
fn ticks_groups_and_the_end_are_told() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    place.write("listener.py", LISTENER);
    place.service(
        "lis",
        &format!(
            "cmd={PROGRAM} listen -r {} --events TICK_5,PROCESS_GROUP,SUPERVISOR_STATE_CHANGE \
             python3 {} {}\npriority=0\n",
            place.path("run"),
            place.path("listener.py"),
            place.path(""),
        ),
    );
    let mut going = place.start(&[]);
    going.wait_all_started(["web", "lis"]);
    wait_heard(&place, "SUPERVISOR_STATE_CHANGE_RUNNING", "");
    assert!(like("* lis lis *", &place.wait_text("pids")), "its name is that of the service");
    place.service("db", "cmd=sleep 1000\n");
    wait_heard(&place, "PROCESS_GROUP_ADDED", "groupname:db\n");
    place.remove("db");
    wait_heard(&place, "PROCESS_GROUP_REMOVED", "groupname:db\n");
    wait_until("a tick", || heard(&place).iter().any(|(name, _)| name == "TICK_5"));
    let tick = heard(&place).into_iter().find(|(name, _)| name == "TICK_5").unwrap().1;
    let when: u64 = tick.strip_prefix("when:").unwrap().parse().unwrap();
    assert_eq!(when % 5, 0);
    assert!(heard(&place).iter().all(|(name, _)| name != "SUPERVISOR_STATE_CHANGE_STOPPING"));
    going.stop();
    let all = heard(&place);
    assert_eq!(all.last().unwrap().0, "SUPERVISOR_STATE_CHANGE_STOPPING", "{all:?}");
}

#[test]
fn who_is_another_user_may_not_talk_to_listeners() {
    use std::os::unix::fs::MetadataExt;
    if !crate::common::has_root() {
        return;
    }
    let place = Place::new();
    let _going = started(&place);
    let folder = place.path("run/listeners");
    let socket = || std::fs::read_dir(&folder).ok()?.flatten().next()?.metadata().ok();
    let events = ["--events", "REMOTE_COMMUNICATION"];
    let mut ears = Ears::noting(&place, &events);
    let stat = socket().unwrap();
    assert_eq!((stat.uid(), stat.mode() & 0o777), (0, 0o600));
    ears.stop();
    assert!(socket().is_none(), "it goes with us");
    let mut ears = Ears::noting(&place, &[&events[..], &["--remote", "61234"]].concat());
    wait_until("the socket", || socket().is_some_and(|it| it.uid() == 61234));
    ears.stop();
}
