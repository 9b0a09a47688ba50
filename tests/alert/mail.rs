//! Mail: to a real server by STARTTLS with a password, to servers that do what they
//! should not, and by sendmail(8).

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::bench::{Teller, ask, place, secret, target, waiting};
use crate::common::{Place, Signal, has, run, send, wait_until};
use crate::pypi::fetch;
use crate::server::{Manner, Server};

/// A server by aiosmtpd: TLS, then a password, then mail, which it writes into a file.
const SERVER: &str = r#"
import asyncio, json, ssl, sys
from aiosmtpd.smtp import AuthResult, SMTP
folder, kind = sys.argv[1:]
class Handler:
    async def handle_DATA(self, server, session, envelope):
        with open(folder + "/mails", "a") as out:
            tls = session.ssl is not None or kind == "yes"
            text = envelope.content.decode()
            print(json.dumps([tls, session.auth_data, envelope.rcpt_tos, text]), file=out)
        return "250 taken"
def check(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"going", b"hunter2 \xc3\xa9")
    return AuthResult(success=good, handled=False, auth_data="going" if good else None)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
options = dict(authenticator=check, auth_required=True, hostname="localhost")
if kind == "yes":
    options.update(auth_require_tls=False)
else:
    options.update(tls_context=context, require_starttls=True)
async def serve():
    loop = asyncio.get_running_loop()
    make = lambda: SMTP(Handler(), loop=loop, **options)
    where = context if kind == "yes" else None
    server = await loop.create_server(make, "127.0.0.1", 0, ssl=where)
    with open(folder + "/port", "w") as out:
        print(server.sockets[0].getsockname()[1], file=out)
    await asyncio.sleep(3600)
asyncio.run(serve())
"#;

struct Real {
    child: Child,
    port: u16,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it, if it can be had.
fn serve(place: &Place, packages: &Path, kind: &str) -> Real {
    place.write("server.py", SERVER);
    let _ = fs::remove_file(place.path("port"));
    let child = Command::new("python3")
        .args([&place.path("server.py"), &place.path(""), kind])
        .env("PYTHONPATH", packages)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let port = place.wait_text("port").trim().parse().unwrap();
    Real { child, port }
}

/// A certificate for localhost that vouches for itself.
fn certify(place: &Place, name: &str) {
    let (key, cert) =
        (place.path(&format!("{name}key.pem")), place.path(&format!("{name}cert.pem")));
    let words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        &key,
        "-out",
        &cert,
    ];
    let output = run(&words);
    assert!(output.status.success(), "{output:?}");
}

fn mails(place: &Place) -> Vec<serde_json::Value> {
    place.read("mails").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_real_server_takes_it_by_tls_with_a_password() {
    let Some(packages) = fetch(&["aiosmtpd==1.4.6"]) else { return };
    if !has("openssl") {
        return;
    }
    let place = place();
    certify(&place, "");
    certify(&place, "other-");
    let key = secret(&place, "secret", "hunter2 \u{e9}\n");
    for (kind, tls) in [("starttls", "starttls"), ("yes", "yes")] {
        let server = serve(&place, &packages, kind);
        let text = |ca: &str, secret: &str| {
            format!(
                "mail=ops@example.org dev@example.org\nfrom=going@example.org\n\
                 smtp=localhost:{}\ntls={tls}\ntls-ca={}\nuser=going\nsecret={secret}\n",
                server.port,
                place.path(ca)
            )
        };
        target(&place, "ops", &text("cert.pem", &format!("file:{key}")));
        let output = ask(&place, &["--test", "ops"]);
        assert!(output.status.success(), "{kind}: {output:?}");
        // Whom nobody vouches for is not told anything.
        target(&place, "ops", &text("other-cert.pem", &format!("file:{key}")));
        let output = ask(&place, &["--test", "ops"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("certificate"), "{kind}: {said}");
        // A wrong password is told, but not shown.
        let wrong = secret(&place, "wrong", "hunter3\n");
        target(&place, "ops", &text("cert.pem", &format!("file:{wrong}")));
        let output = ask(&place, &["--test", "ops"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("it says 535 ") && !said.contains("hunter3"), "{kind}: {said}");
    }
    let mails = mails(&place);
    assert_eq!(mails.len(), 2, "{mails:?}");
    for mail in mails {
        assert_eq!(mail[0], true, "it was secret");
        assert_eq!(mail[1], "going");
        assert_eq!(mail[2], serde_json::json!(["ops@example.org", "dev@example.org"]));
        let text = mail[3].as_str().unwrap();
        assert!(text.contains("\r\nSubject: ["), "{text}");
        assert!(text.contains("this is a test of ops"), "{text}");
    }
}

#[test]
fn a_server_without_starttls_gets_nothing() {
    let place = place();
    let server = Server::smtp(&[Manner::Good]);
    target(&place, "ops", &format!("mail=ops\nsmtp=127.0.0.1:{}\n", server.port));
    let output = ask(&place, &["--test", "ops"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("it offers no STARTTLS"), "{said}");
    assert_eq!(server.heard().len(), 0);
}

#[test]
fn servers_that_hang_cut_or_put_off_get_it_once_when_they_are_well() {
    let place = place();
    let ill = [Manner::Status(451), Manner::Cut, Manner::Hang, Manner::Good];
    let server = Server::smtp(&ill);
    let to = format!("mail=ops@x nobody@x\nsmtp=127.0.0.1:{}\ntls=no\n", server.port);
    target(&place, "ops", &format!("{to}timeout=1s\nevent=exit\n"));
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let pid = going.wait_started("web");
    let teller = Teller::start(&place);
    send(pid, Signal::SIGKILL);
    wait_until("it is taken", || server.heard().len() == 1);
    wait_until("nothing waits", || waiting(&place, "ops") == 0);
    assert_eq!(server.met(), 4);
    let heard = &server.heard()[0];
    assert!(heard.starts_with("RCPT TO:<ops@x>\nFrom: going <going@"), "{heard}");
    assert!(heard.contains("web: killed by SIGKILL"), "{heard}");
    for text in ["451 not taken", "it hung up", "it does not answer in time", "550 no such user"] {
        assert!(teller.log().contains(text), "{text}: {}", teller.log());
    }
}

#[test]
fn sendmail_takes_it_where_there_is_no_server() {
    let place = place();
    place.write(
        "sendmail.sh",
        format!(
            "#!/bin/sh\necho \"$@\" >{0}.new\ncat >>{0}.new\nmv {0}.new {0}\n",
            place.path("mail")
        ),
    );
    let program = place.path("sendmail");
    assert!(run(&["install", "-m", "755", &place.path("sendmail.sh"), &program]).status.success());
    target(&place, "ops", &format!("mail=root, ops@example.org\nfrom=a@b\nsendmail={program}\n"));
    let output = ask(&place, &["--test", "ops"]);
    assert!(output.status.success(), "{output:?}");
    let mail = place.read("mail");
    assert!(mail.starts_with("-i -f a@b -- root ops@example.org\nFrom: going <a@b>\n"), "{mail}");
    assert!(mail.contains("To: root,\n ops@example.org\n"), "{mail}");
}
