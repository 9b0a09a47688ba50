//! Who gets in, and what other people's pages do not get done.

use crate::web::guests::Guests;

use super::*;
use crate::client::Place;
use crate::web::users::{Users, token_line};

fn web(users: Users) -> Web {
    Web {
        place: Place::find(Some(std::path::Path::new("/nowhere"))).unwrap(),
        users,
        hosts: vec!["going.example".to_owned()],
        is_read_only: false,
        token: "0123".to_owned(),
        meter: crate::web::meter::Meter::default(),
        guests: Guests::new(1),
        followers: Guests::new(1),
    }
}

struct Wire<'a>(&'a [u8]);

impl std::io::Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn post(headers: &str, body: &str) -> Request {
    let length = body.len();
    let text = format!("POST /x HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    let mut rest = crate::web::http::Rest::default();
    Request::read(&mut Wire(text.as_bytes()), &mut rest).unwrap()
}

fn status(result: Result<(), Response>) -> u16 {
    result.map_or_else(|response| response.status, |()| 200)
}

#[test]
fn without_users_this_machine_may_look_and_a_file_decides_for_itself() {
    let web = web(Users::none());
    let request = post("Host: localhost\r\n", "");
    assert_eq!(role(&web, &request, Peer::Here).ok(), Some(Role::Read));
    assert_eq!(role(&web, &request, Peer::File).ok(), Some(Role::Full));
    assert_eq!(role(&web, &request, Peer::Afar).unwrap_err().status, 401);
    let wrong = post("Authorization: Basic eDp5\r\n", "");
    assert_eq!(role(&web, &wrong, Peer::File).unwrap_err().status, 401);
    // An empty name is none.
    let nobody = post("Authorization: Basic Og==\r\n", "");
    assert_eq!(role(&web, &nobody, Peer::File).ok(), Some(Role::Full));
    assert_eq!(role(&web, &nobody, Peer::Here).ok(), Some(Role::Read));
    assert_eq!(role(&web, &nobody, Peer::Afar).unwrap_err().status, 401);
}

#[test]
fn with_users_everybody_has_to_say_who_they_are() {
    let (token, line) = token_line("ci", Role::Full).unwrap();
    let file = std::env::temp_dir().join(format!("going-users-{}", std::process::id()));
    std::fs::write(&file, line).unwrap();
    assert!(Users::load(&file).unwrap_err().contains("chmod 600"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, mode).unwrap();
    let users = Users::load(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let mut web = web(users);
    assert_eq!(role(&web, &post("", ""), Peer::Here).unwrap_err().status, 401);
    let request = post(&format!("Authorization: Bearer {token}\r\n"), "");
    assert_eq!(role(&web, &request, Peer::Afar).ok(), Some(Role::Full));
    assert_eq!(status(check_change(&web, &request, Role::Full)), 200);
    web.is_read_only = true;
    assert_eq!(role(&web, &request, Peer::Afar).ok(), Some(Role::Read));
}

#[test]
fn names_of_other_people_are_not_ours() {
    let web = web(Users::none());
    let host = |host: &str| status(check_host(&web, &post(host, ""), Peer::Here));
    for ours in ["localhost:9001", "127.0.0.1", "[::1]:9001", "going.example:80", "GOING.example"] {
        assert_eq!(host(&format!("Host: {ours}\r\n")), 200, "{ours}");
    }
    for others in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[x]"] {
        assert_eq!(host(&format!("Host: {others}\r\n")), 421, "{others}");
    }
    assert_eq!(host(""), 421);
    assert_eq!(status(check_host(&web, &post("Host: any\r\n", ""), Peer::File)), 200);
}

#[test]
fn other_sites_change_nothing() {
    let web = web(Users::none());
    let change = |headers: &str, body: &str| {
        let headers = format!("Host: localhost:9001\r\n{headers}");
        status(check_change(&web, &post(&headers, body), Role::Full))
    };
    let json = "Content-Type: application/json\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(change(json, "{}"), 200);
    assert_eq!(change(&format!("{json}Origin: http://localhost:9001\r\n"), "{}"), 200);
    assert_eq!(change(&format!("{json}Origin: http://evil.example\r\n"), "{}"), 403);
    assert_eq!(change(&format!("{json}Origin: null\r\n"), "{}"), 403);
    assert_eq!(change(&format!("{json}Sec-Fetch-Site: cross-site\r\n"), "{}"), 403);
    assert_eq!(change("", ""), 415);
    assert_eq!(change("Content-Type: text/plain\r\n", "{}"), 415);
    assert_eq!(change(form, "token=0123"), 403);
    assert_eq!(change(&format!("{form}Cookie: going=0123\r\n"), "a=b"), 403);
    assert_eq!(change(&format!("{form}Cookie: going=0124\r\n"), "token=0123"), 403);
    assert_eq!(change(&format!("{form}Cookie: going=0123\r\n"), "token=0123"), 200);
    let request = post(&format!("Host: localhost\r\n{json}"), "{}");
    assert_eq!(status(check_change(&web, &request, Role::Read)), 403);
}
