//! Programs of others which take sockets: Python's server of files, one that asks
//! systemd's own library, and one of FastCGI.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::common::{Place, has, run};
use crate::{LIMIT, ask_port, free_port};

/// What a server of HTTP answers.
fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("refused");
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Python's own server, which knows nothing of passed sockets, given one.
#[test]
fn python_serves_files_from_a_socket_that_was_there_before_it() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    place.write("hello.txt", "hello, world\n");
    place.write(
        "serve.py",
        "import socket\n\
         from http.server import HTTPServer, SimpleHTTPRequestHandler\n\
         server = HTTPServer(('', 0), SimpleHTTPRequestHandler, bind_and_activate=False)\n\
         server.socket = socket.socket(fileno=3)\n\
         server.serve_forever()\n",
    );
    let port = free_port();
    let (script, cwd) = (place.path("serve.py"), place.dir.display());
    let text = format!("cmd=python3 {script}\ncwd={cwd}\nlisten=tcp:localhost:{port}\n");
    place.service("files", &(text + "start=on-demand\n"));
    let mut going = place.start(&[]);
    going.wait_for("files: listening, started on demand");
    // The first one starts it, and waits for what takes Python its time.
    for _ in 0..3 {
        let answer = get(port, "/hello.txt");
        assert!(
            answer.starts_with("HTTP/1.0 200 ") && answer.ends_with("hello, world\n"),
            "{answer}"
        );
    }
    assert_eq!(going.count("files: started (pid *)"), 1);
    going.stop();
}

/// What systemd's library finds is what there is.
#[test]
fn the_library_of_systemd_finds_its_sockets_by_name_and_address() {
    let place = Place::new();
    let header = std::path::Path::new("/usr/include/systemd/sd-daemon.h").exists();
    if !has("gcc") || !header && !has("libsystemd-dev") {
        return;
    }
    let (program, port, path) = (place.path("asks"), free_port(), place.path("s"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/listen/systemd.c");
    let built = run(&["gcc", "-O1", "-Wall", "-o", &program, source, "-lsystemd"]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    place.service(
        "asks",
        &format!(
            "cmd={program} {port} {path}\nlisten=tcp:[::1]:{port} name=http\nlisten=unix:{path} name=control\n\
             listen=udp:{port}\nlisten=tcp:localhost:{port} name=http\n"
        ),
    );
    let mut going = place.start(&[]);
    going.wait_started("asks");
    assert_eq!(ask_port(port), "4 http=3 control=4 asks=5 http=6 environment is clean");
    going.stop();
}

#[test]
fn a_program_of_fastcgi_is_asked_through_its_standard_input() {
    let place = Place::new();
    if !has("fcgiwrap") || !has("cgi-fcgi") {
        return;
    }
    let (script, path) = (place.path("script"), place.path("fcgi"));
    let text = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\necho \"$QUERY_STRING from $PPID\"\n";
    place.write("script", text);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    place
        .service("wrap", &format!("cmd=fcgiwrap\nlisten=unix:{path}\nlisten-as=stdin\nkill=all\n"));
    let mut going = place.start(&[]);
    let pid = going.wait_started("wrap");
    let output = Command::new("cgi-fcgi")
        .args(["-bind", "-connect", &path])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs([("SCRIPT_FILENAME", &*script), ("REQUEST_METHOD", "GET"), ("QUERY_STRING", "asked")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.ends_with(&format!("asked from {pid}\n")), "{said} {output:?}");
    going.stop();
}
