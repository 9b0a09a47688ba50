//! The servers that put TLS in front of going-web, with the configurations of
//! etc/front, but for ports and certificates.

use std::fs;
use std::process::{Child, Command, Stdio};

use super::site::{Answer, Site, free_port, users};
use crate::common::{Place, has, run, wait_until};

const NAME: &str = "going.example.org";

/// A front, which ends with the test.
struct Front {
    child: Child,
    port: u16,
}

impl Drop for Front {
    fn drop(&mut self) {
        // Both end their children upon TERM, which KILL does not.
        let pid = i32::try_from(self.child.id()).unwrap();
        crate::common::send(pid, crate::common::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

impl Front {
    fn example(name: &str) -> String {
        let path = format!("{}/etc/front/{name}", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(path).unwrap()
    }

    fn start(place: &Place, port: u16, words: &[&str]) -> Front {
        let child = Command::new(words[0])
            .args(&words[1..])
            .env("HOME", &place.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(place.path("front.err")).unwrap())
            .spawn()
            .unwrap();
        Front { child, port }
    }

    fn nginx(place: &Place, site: &Site) -> Front {
        let (port, dir) = (free_port(), place.dir.display());
        let server = Front::example("nginx.conf")
            .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
            .replace(&format!("/etc/ssl/{NAME}"), &format!("{dir}/front"))
            .replace("127.0.0.1:9001", &format!("127.0.0.1:{}", site.port));
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {dir}/{kind};\n"))
            .collect();
        let conf = format!(
            "daemon off; pid {dir}/nginx.pid; error_log stderr; events {{}}\n\
             http {{ access_log off;\n{paths}{server}}}\n"
        );
        place.write("nginx.conf", conf);
        Front::start(place, port, &["nginx", "-c", &place.path("nginx.conf")])
    }

    fn caddy(place: &Place, site: &Site) -> Front {
        let (port, dir) = (free_port(), place.dir.display());
        let server = Front::example("Caddyfile")
            .replace(
                &format!("\n{NAME} {{"),
                &format!("\nhttps://{NAME}:{port} {{\n\ttls {dir}/front.crt {dir}/front.key"),
            )
            .replace("127.0.0.1:9001", &format!("127.0.0.1:{}", site.port));
        let options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n";
        place.write("Caddyfile", format!("{options}{server}"));
        let conf = place.path("Caddyfile");
        Front::start(place, port, &["caddy", "run", "--adapter", "caddyfile", "--config", &conf])
    }

    fn curl(&self, path: &str, words: &[&str]) -> Answer {
        let Front { port, .. } = self;
        let output = Command::new("curl")
            .args(["-ski", "--http1.1", "--max-time", "60"])
            .args(["--resolve", &format!("{NAME}:{port}:127.0.0.1")])
            .args(words)
            .arg(format!("https://{NAME}:{port}{path}"))
            .output()
            .unwrap();
        Answer::parse(&output.stdout)
    }
}

fn certificate(place: &Place) {
    let made = run(&[
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        &format!("/CN={NAME}"),
        "-addext",
        &format!("subjectAltName=DNS:{NAME}"),
        "-keyout",
        &place.path("front.key"),
        "-out",
        &place.path("front.crt"),
    ]);
    assert!(made.status.success(), "{made:?}");
}

fn serves(start: impl Fn(&Place, &Site) -> Front) {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let site = Site::open(&place, &["--users", &users(&place), "--host", NAME]);
    certificate(&place);
    let front = start(&place, &site);
    let ann = ["-u", "ann:secret"];
    wait_until("the front answers", || front.curl("/healthz", &[]).status == 200);
    assert_eq!(front.curl("/", &[]).status, 401);
    let page = front.curl("/", &ann);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.header("strict-transport-security").is_some(), "{page:?}");
    assert!(page.header("content-security-policy").is_some(), "{page:?}");

    // What happens comes at once, not when a buffer is full.
    let events = Command::new("curl")
        .args(["-skN", "--max-time", "60", "-u", "ann:secret", "-o", &place.path("events")])
        .args(["--resolve", &format!("{NAME}:{}:127.0.0.1", front.port)])
        .arg(format!("https://{NAME}:{}/api/v1/events/stream", front.port))
        .spawn();
    let mut events = events.unwrap();
    wait_until("somebody listens", || place.read("events").contains("hello"));
    // The page's own orders are taken, those of other sites are not.
    let order = |origin: &str| {
        let origin = format!("Origin: {origin}");
        let kind = "Content-Type: application/json";
        let words = ["-u", "ann:secret", "-X", "POST", "-H", kind, "-H", &origin];
        front.curl("/api/v1/services/web/stop", &words).status
    };
    assert_eq!(order("https://evil.example"), 403);
    assert_eq!(order("null"), 403);
    assert!(!place.read("events").contains("stopping"));
    assert_eq!(order(&format!("https://{NAME}:{}", front.port)), 200);
    wait_until("the event", || place.read("events").contains("\"state\":\"down\""));
    let _ = events.kill();
    let _ = events.wait();
}

#[test]
fn nginx_serves_it_with_tls() {
    if has("nginx") && has("openssl") && has("curl") {
        serves(Front::nginx);
    }
}

#[test]
fn caddy_serves_it_with_tls() {
    if has("caddy") && has("openssl") && has("curl") {
        serves(Front::caddy);
    }
}
