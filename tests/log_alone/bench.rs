//! The bench of the tests of going-log: a directory with its logs, the program
//! itself, and a going that hands it pipes. Nothing here waits by sleeping alone.

use std::fs::{self, File};
use std::io::{IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use going::protocol::Message;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, sendmsg,
    socket,
};
use nix::unistd::{Pid, pipe2};

/// So long a test waits for one thing: no machine is that slow.
const LIMIT: Duration = Duration::from_secs(60);

pub fn program() -> PathBuf {
    match env::var_os("GOING_BIN") {
        Some(going) => Path::new(&going).with_file_name("going-log"),
        None => PathBuf::from(env!("CARGO_BIN_EXE_going-log")),
    }
}

/// Waits until it is so.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

pub struct Place {
    pub dir: PathBuf,
}

impl Place {
    pub fn new() -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("going-log-test-{}-{count}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("log")).unwrap();
        Place { dir }
    }

    pub fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.log_dir().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.log(name)).unwrap_or_default()).into_owned()
    }

    /// The names in the directory, sorted.
    pub fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.log_dir()).unwrap();
        let mut names: Vec<_> =
            names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[track_caller]
    pub fn wait_log(&self, name: &str, text: &str) {
        let start = Instant::now();
        while self.read(name) != text {
            assert!(start.elapsed() < LIMIT, "{name} is {:?}, not {text:?}", self.read(name));
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.arg("-l").arg(self.log_dir());
        command.arg("--socket").arg(self.dir.join("socket"));
        command.arg("--journal").arg(self.dir.join("journal"));
        command.stdin(Stdio::null());
        command
    }

    /// Starts it and says hello.
    #[track_caller]
    pub fn start(&self) -> Logger {
        let child = self.command().stdout(Stdio::null()).spawn().expect("going-log starts");
        self.meet(child)
    }

    #[track_caller]
    pub fn meet(&self, child: Child) -> Logger {
        let mut logger = Logger { child, going: None };
        logger.going = Some(self.connect());
        let hello = logger.next();
        assert_eq!(hello.get("hello"), Some("going-log"));
        logger
    }

    /// Connects as going does.
    #[track_caller]
    pub fn connect(&self) -> OwnedFd {
        let address = UnixAddr::new(&self.dir.join("socket")).unwrap();
        let start = Instant::now();
        loop {
            let flags = SockFlag::SOCK_CLOEXEC;
            let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
            if connect(fd.as_raw_fd(), &address).is_ok() {
                return fd;
            }
            assert!(start.elapsed() < LIMIT, "cannot connect");
            thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

pub struct Logger {
    pub child: Child,
    pub going: Option<OwnedFd>,
}

impl Logger {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }

    /// Lets it end, which must go well.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        assert!(self.child.wait().unwrap().success());
    }

    /// Sends a message; false if nobody is there any more.
    pub fn send(&self, text: &str, ends: &[&OwnedFd]) -> bool {
        let ends: Vec<_> = ends.iter().map(|end| end.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&ends)];
        let rights = if ends.is_empty() { &[][..] } else { &rights[..] };
        let fd = self.going.as_ref().unwrap().as_raw_fd();
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(fd, &[IoSlice::new(text.as_bytes())], rights, flags, None).is_ok()
    }

    pub fn take(&self, pipe: &Pipe, settings: &str) -> bool {
        let text = format!("do=take\nid={}\n{settings}\n", pipe.id());
        self.send(&text, &[&pipe.read])
    }

    pub fn set(&self, pipe: &Pipe, settings: &str) {
        assert!(self.send(&format!("do=set\nid={}\n{settings}\n", pipe.id()), &[]));
    }

    pub fn mark(&self, pipe: &Pipe, text: &str) {
        assert!(self.send(&format!("do=mark\nid={}\ntext={text}\n", pipe.id()), &[]));
    }

    /// The next message, if it is still there to send one.
    pub fn try_next(&self) -> Option<Message> {
        let fd = self.going.as_ref().unwrap();
        let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(LIMIT).unwrap();
        assert!(poll(&mut fds, limit).unwrap() > 0, "waited in vain for a message");
        let mut bytes = [0; 8192];
        match recv(fd.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
            Ok(0) | Err(Errno::ECONNRESET) => None,
            Ok(length) => Some(Message::parse(&bytes[..length]).unwrap()),
            Err(errno) => panic!("{errno}"),
        }
    }

    #[track_caller]
    pub fn next(&self) -> Message {
        self.try_next().expect("a message")
    }

    /// Waits for a message with that key; its value.
    #[track_caller]
    pub fn wait_for(&self, key: &str) -> String {
        loop {
            let message = self.next();
            if let Some(value) = message.get(key) {
                return value.to_owned();
            }
        }
    }

    #[track_caller]
    pub fn wait_done(&self, pipe: &Pipe) {
        while self.wait_for("done") != pipe.id().to_string() {}
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service's pipe.
pub struct Pipe {
    pub read: OwnedFd,
    pub write: Option<File>,
}

impl Pipe {
    pub fn new() -> Pipe {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let nonblocking = nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
        nix::fcntl::fcntl(&read, nonblocking).unwrap();
        Pipe { read, write: Some(write.into()) }
    }

    pub fn id(&self) -> u64 {
        nix::sys::stat::fstat(&self.read).unwrap().st_ino
    }

    pub fn write(&self, text: impl AsRef<[u8]>) {
        use std::io::Write;
        self.write.as_ref().unwrap().write_all(text.as_ref()).unwrap();
    }

    pub fn close(&mut self) {
        self.write = None;
    }
}

/// Settings of a plain log, with some of them changed: `with(&["size=4096"])`.
pub fn with(changes: &[&str]) -> String {
    let mut text = String::new();
    for line in [
        "name=web",
        "stream=stdout",
        "to=file",
        "size=0",
        "keep=4",
        "compress=no",
        "timestamps=no",
        "strip-ansi=no",
        "rate=unlimited",
        "full=drop",
    ] {
        let key = line.split('=').next().unwrap();
        let changed = changes.iter().find(|it| it.split('=').next() == Some(key));
        text += &format!("{}\n", changed.unwrap_or(&line));
    }
    text
}

/// Numbers that look random, others each time.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Dice {
        let mut seed = [0; 8];
        File::open("/dev/urandom").unwrap().read_exact(&mut seed).unwrap();
        let seed = env::var("SEED").map_or(u64::from_ne_bytes(seed), |it| it.parse().unwrap());
        eprintln!("SEED={seed}");
        Dice(seed | 1)
    }

    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % below
    }
}
