//! Who gets in, and what others do not get done.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use super::site::{Site, post};
use crate::common::{Place, wait_until};

fn web(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_going-web"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn starts(place: &Place, name: &str) -> usize {
    place.starts(name).len()
}

#[test]
fn other_sites_and_strangers_change_nothing() {
    let place = Place::new();
    place.service("web", &place.logged("web", "exec sleep 1000"));
    let _going = place.start(&[]);
    place.wait_starts("web", 1);
    let site = Site::open(&place, &[]);
    let path = "/api/v1/services/web/restart";
    // Without users, the network may look.
    assert_eq!(site.raw(&post(path, "", "")).status, 403);
    let get = |host: &str| {
        site.raw(&format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).status
    };
    assert_eq!((get("localhost"), get("127.0.0.1:1"), get("evil.example")), (200, 200, 421));
    for headers in ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        assert_eq!(site.owner(&post(path, headers, "")).status, 403, "{headers}");
    }
    let plain = post(path, "", "").replace("application/json", "text/plain");
    assert_eq!(site.owner(&plain).status, 415);
    let form = "name=web&action=restart&token=0";
    let forged = post("/act", "Cookie: going=0\r\n", form)
        .replace("application/json", "application/x-www-form-urlencoded");
    assert_eq!(site.owner(&forged).status, 403);
    assert_eq!(starts(&place, "web"), 1);

    // The page's own form is taken, by whoever may see it.
    let page = site.owner("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let token = cookie.split(['=', ';']).nth(1).unwrap();
    let ours = forged.replace("going=0", &format!("going={token}"));
    let body = format!("name=web&action=restart&token={token}");
    let ours = ours.replace(form, &body).replace(
        &format!("Content-Length: {}", form.len()),
        &format!("Content-Length: {}", body.len()),
    );
    assert_eq!(site.owner(&ours).status, 303);
    place.wait_starts("web", 2);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

#[test]
fn users_have_roles() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let line = |args: &[&str], stdin: &str| {
        let output = web(args, stdin);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let ann = line(&["--password", "ann"], "secret\n");
    let eve = line(&["--password", "eve", "--role", "read"], "other\n");
    let ci = line(&["--token", "ci"], "");
    let (token, ci) = ci.strip_prefix("token: ").unwrap().split_once('\n').unwrap();
    place.write("users", format!("# people\n{ann}{eve}{ci}"));
    let users = place.path("users");
    let open = web(&["-r", &place.path("run"), "--users", &users], "");
    let why = String::from_utf8_lossy(&open.stderr).into_owned();
    assert!(open.status.code() == Some(64) && why.contains("chmod 600"), "{open:?}");
    std::fs::set_permissions(&users, std::fs::Permissions::from_mode(0o600)).unwrap();

    let site = Site::open(&place, &["--users", &users]);
    let ask = |proof: &str| {
        let proof = format!("Authorization: {proof}\r\n");
        site.raw(&post("/api/v1/services/web/start", &proof, "")).status
    };
    // ann:secret, ann:wrong, eve:other
    assert_eq!(ask("Basic YW5uOnNlY3JldA=="), 200);
    assert_eq!(ask("Basic YW5uOndyb25n"), 401);
    assert_eq!(ask("Basic ZXZlOm90aGVy"), 403);
    assert_eq!(ask(&format!("Bearer {token}")), 200);
    assert_eq!(ask("Bearer 0"), 401);
    let nobody = site.get("/api/v1/services");
    assert_eq!(nobody.status, 401);
    assert!(nobody.header("www-authenticate").unwrap().starts_with("Basic"));
    assert_eq!((site.get("/healthz").status, site.get("/readyz").status), (200, 200));
}

#[test]
fn nobody_listens_to_the_world_without_users() {
    let output = web(&["-r", "/nowhere", "--listen", "0.0.0.0:0"], "");
    assert_eq!(output.status.code(), Some(64));
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(why.contains("--users") && why.contains("--password"), "{why}");
}

#[test]
fn read_only_is_for_everybody() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let site = Site::open(&place, &["--read-only"]);
    wait_until("it is up", || site.get("/readyz").status == 200);
    assert_eq!(site.post("/api/v1/services/web/stop", "").status, 403);
    assert_eq!(site.get("/api/v1/services/web").json()["state"], "up");
}

#[test]
fn no_word_of_a_request_becomes_part_of_a_path() {
    let place = Place::new();
    place.service("web", "cmd=sh -c 'echo hello; exec sleep 1000'\n");
    let mut going = place.start(&["-o", "stdout=log"]);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    place.write("log/secret.log", "not for you\n");
    for name in [
        "secret",
        "..",
        "%2e%2e%2fsecret",
        "web%2f..%2fsecret",
        "..%2f..%2fetc%2fpasswd",
        "*",
        "%00",
        "web%0a",
    ] {
        for path in [
            format!("/services/{name}"),
            format!("/api/v1/services/{name}"),
            format!("/api/v1/services/{name}/log"),
            format!("/api/v1/services/{name}/log/stream"),
            format!("/api/v1/services/{name}/why"),
            format!("/logtail/{name}"),
            format!("/logtail/{name}/stderr"),
            format!("/{name}"),
            format!("/{name}/log/secret.log"),
        ] {
            let answer = site.get(&path);
            assert!([400, 404, 410].contains(&answer.status), "{path}: {answer:?}");
            assert!(
                !answer.body.contains("not for you") && !answer.body.contains("root:"),
                "{path}"
            );
        }
    }
}
