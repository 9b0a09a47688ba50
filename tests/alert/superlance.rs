//! superlance, from PyPI and unchanged, with going-web as its server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;

use crate::common::{Place, Signal, send, wait_until};
use crate::listen::{Ears, heard, started};
use crate::pypi;
use crate::site::Site;

/// Newer setuptools are without what supervisor needs of them.
const PACKAGES: [&str; 3] = ["superlance==2.0.0", "supervisor==4.2.5", "setuptools<81"];

/// A script that takes mail and notes it in `mails`.
fn sendmail(place: &Place) -> String {
    place.write("sendmail.sh", format!("cat >>{}\n", place.path("mails")));
    format!("sh {}", place.path("sendmail.sh"))
}

struct Lance {
    folder: PathBuf,
    url: String,
}

impl Lance {
    fn listen(&self, place: &Place, events: &str, words: &[&str]) -> Ears {
        let path = format!("PYTHONPATH={}", self.folder.display());
        let module = format!("superlance.{}", words[0]);
        let own = ["env", &path, "python3", "-W", "ignore", "-m", &module];
        let options = ["--events", events, "--server-url", &self.url];
        Ears::start(place, &options, &[&own[..], &words[1..]].concat())
    }
}

fn lance(site: &Site, folder: &Path) -> Lance {
    Lance { folder: folder.to_owned(), url: format!("unix://{}", site.socket) }
}

#[test]
fn crashmail_tells_of_crashes_and_of_nothing_else() {
    let Some(folder) = pypi::fetch(&PACKAGES) else { return };
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\nmin-uptime=0\nbackoff=100ms\n");
    place.service("fine", "cmd=sh -c 'sleep 0.1'\nrestart=never\nstart=manual\nmin-uptime=0\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    let site = Site::open(&place, &[]);
    let words = ["crashmail", "-a", "-o", "here", "-m", "ops@x", "-s", &sendmail(&place)];
    let ears = lance(&site, &folder).listen(&place, "PROCESS_STATE_EXITED", &words);
    // What comes before it is ready waits for it; it is there before the first event.
    wait_until("it follows", || {
        let tasks = std::fs::read_dir(place.path("run")).unwrap();
        tasks.count() > 0 && follows(&ears)
    });
    assert_eq!(site.post("/api/v1/services/fine/start", "").status, 200);
    going.wait_for("fine: *");
    send(pid, Signal::SIGKILL);
    wait_until("the mail", || place.read("mails").contains("from state RUNNING"));
    let mail = place.read("mails");
    assert!(mail.starts_with("To: ops@x\nSubject: here: web crashed at "), "{mail}");
    let text = format!("Process web in group web exited unexpectedly (pid {pid}) from state");
    assert!(mail.contains(&text) && !mail.contains("fine"), "{mail}");
}

/// Whether it is connected to going: it has a socket more than the pair for signals.
fn follows(ears: &Ears) -> bool {
    let fds = std::fs::read_dir(format!("/proc/{}/fd", ears.pid())).unwrap().flatten();
    let links = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    links.filter(|it| it.to_string_lossy().starts_with("socket:")).count() > 4
}

#[test]
fn memmon_and_httpok_restart_what_is_too_large_or_does_not_answer() {
    let Some(folder) = pypi::fetch(&PACKAGES) else { return };
    let place = Place::new();
    place.service("large", "cmd=sleep 1000\nmin-uptime=0\n");
    place.service("ill", "cmd=sleep 1001\nmin-uptime=0\n");
    let mut going = place.start(&[]);
    going.wait_all_started(["large", "ill"]);
    let site = Site::open(&place, &[]);
    let lance = lance(&site, &folder);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/", server.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.0 500 ill\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let mail = sendmail(&place);
    let words = ["memmon", "-p", "large=1KB", "-m", "ops@x", "-s", &mail];
    let _memmon = lance.listen(&place, "TICK_5", &words);
    going.wait_started("large");
    wait_until("a mail", || place.read("mails").contains("process large:large restarted"));
    let words = ["httpok", "-p", "ill", "-t", "2", "-m", "ops@x", "-s", &mail, &url];
    let _httpok = lance.listen(&place, "TICK_5", &words);
    going.wait_started("ill");
    wait_until("a mail", || place.read("mails").contains("bad status returned"));
}

/// A mail server that takes everything and notes it in `MAILS`.
const SERVER: &str = r#"
import asyncio, sys
from aiosmtpd.smtp import SMTP
folder = sys.argv[1]
class Handler:
    async def handle_DATA(self, server, session, envelope):
        with open(folder + "/mails", "a") as out:
            out.write(envelope.content.decode())
        return "250 taken"
async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), loop=loop), "127.0.0.1", 0)
    with open(folder + "/port", "w") as out:
        print(server.sockets[0].getsockname()[1], file=out)
    await asyncio.sleep(3600)
asyncio.run(serve())
"#;

#[test]
fn batches_of_crashes_and_of_what_was_given_up_are_mailed() {
    let Some(folder) = pypi::fetch(&PACKAGES) else { return };
    let Some(smtp) = pypi::fetch(&["aiosmtpd==1.4.6"]) else { return };
    let place = Place::new();
    place.write("server.py", SERVER);
    let mut server = std::process::Command::new("python3")
        .args([&place.path("server.py"), &place.path("")])
        .env("PYTHONPATH", smtp)
        .spawn()
        .unwrap();
    let port = place.wait_text("port");
    let host = format!("127.0.0.1:{}", port.trim());
    let mut going = started(&place);
    let site = Site::open(&place, &[]);
    let lance = lance(&site, &folder);
    let common = ["--toEmail", "ops@x", "--fromEmail", "me@x", "-i", "0.01", "-e", "TICK_5", "-H"];
    let mut all = Vec::new();
    for (program, event) in
        [("crashmailbatch", "PROCESS_STATE_EXITED"), ("fatalmailbatch", "PROCESS_STATE_FATAL")]
    {
        let words = [&[program][..], &common, &[&host]].concat();
        let events = format!("{event},TICK_5");
        all.push(lance.listen(&place, &events, &words));
    }
    wait_until("both follow", || all.iter().all(follows));
    place.service("bad", "cmd=sh -c 'exit 3'\nstrikes=1\n");
    going.wait_for("bad: *");
    wait_until("two mails", || {
        let mails = place.read("mails");
        mails.contains("Process bad:bad (pid ") && mails.contains("Process bad:bad failed to start")
    });
    let _ = server.kill();
    let _ = server.wait();
}

#[test]
fn remote_events_come_through_going_web() {
    let place = Place::new();
    let _going = started(&place);
    let site = Site::open(&place, &[]);
    let call = |kind: &str, data: &str| {
        let body = format!(
            "<?xml version='1.0'?><methodCall><methodName>supervisor.sendRemoteCommEvent\
             </methodName><params><param><value><string>{kind}</string></value></param><param>\
             <value><string>{data}</string></value></param></params></methodCall>"
        );
        let head = format!(
            "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        site.owner(&head).body
    };
    assert!(call("x", "nobody").contains("<boolean>1</boolean>"), "that is no fault");
    let _ears = Ears::noting(&place, &["--events", "REMOTE_COMMUNICATION"]);
    assert!(call("deploy", "ready\nset \u{e9}").contains("<boolean>1</boolean>"));
    wait_until("it is heard", || heard(&place).len() == 1);
    let event = ("REMOTE_COMMUNICATION".to_owned(), "type:deploy\nready\nset \u{e9}".to_owned());
    assert_eq!(heard(&place), [event]);
    assert!(place.read("heard").contains(" len:24\n"), "bytes: {}", place.read("heard"));
}
