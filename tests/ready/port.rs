//! A port where somebody takes connections.

use std::net::{TcpListener, TcpStream};

use crate::client::Client;
use crate::common::{Place, has, wait_until};
use crate::{speaker, tell, why};

/// A port which is free, and not given to connections by chance.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_service_is_ready_when_it_takes_connections() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    let [port, other] = [free_port(), free_port()];
    place.service("web", &(speaker(&place, "web") + &format!("ready=tcp:{port}\n")));
    place.service("six", &(speaker(&place, "six") + &format!("ready=tcp:[::1]:{other}\n")));
    let mut going = place.start(&[]);
    tell(&place, "six", "note(1)");
    place.wait_text("six.notes");
    assert!(why(&place, "six").contains("stage=unready\n"));
    // Bound is not enough: nobody is let in.
    tell(
        &place,
        "web",
        &format!("server = socket.socket(); server.bind(('127.0.0.1', {port})); note(1)"),
    );
    place.wait_text("web.notes");
    tell(
        &place,
        "six",
        &format!("server = socket.create_server(('::1', {other}), family=socket.AF_INET6)"),
    );
    going.wait_started("six");
    assert!(why(&place, "web").contains("stage=unready\n"));
    tell(&place, "web", "server.listen(); note(2)");
    going.wait_started("web");
    // What it had tried is all over.
    let count = || std::fs::read_dir(format!("/proc/{}/fd", going.pid)).unwrap().count();
    let before = count();
    let mut client = Client::connect(&place);
    let pid = client.wait_state("web", "up").get("pid").map(str::to_owned);
    client.order(&["command=restart", "name=web"]);
    wait_until("the next one", || {
        client.wait_state("web", "starting").get("pid").map(str::to_owned) != pid
    });
    tell(&place, "web", &format!("server = socket.create_server(('127.0.0.1', {port}))"));
    client.wait_state("web", "up");
    drop(client);
    wait_until("the end of all attempts", || count() <= before);
    going.stop();
}

#[test]
fn a_port_that_going_listens_on_itself_is_refused() {
    let place = Place::new();
    let port = free_port();
    place.service("web", &format!("cmd=sleep 1000\nlisten=tcp:{port}\nready=tcp:{port}\n"));
    let mut going = place.start(&[]);
    going.wait_for(
        "*/web:3: ready= is a port of listen=, where going takes connections before it does",
    );
    going.stop();
}

/// Whoever never answers costs nothing but the time it is given.
#[test]
fn one_that_never_answers_is_stopped_when_its_time_is_up() {
    let place = Place::new();
    let port = free_port();
    let keys = format!("ready=tcp:localhost:{port}\nstart-timeout=700ms\nstrikes=1\n");
    place.service("web", &format!("cmd=sleep 1000\n{keys}"));
    let mut going = place.start(&[]);
    going.wait_for("Not ready after 700ms (web: start-timeout, line 3)");
    going.wait_for("web terminated after: *gave up after 1 strike)");
    going.stop();
}

#[test]
fn nginx_is_ready_when_it_serves() {
    let place = Place::new();
    if !has("nginx") {
        return;
    }
    let port = free_port();
    let dir = place.dir.display();
    place.write(
        "nginx.conf",
        format!(
            "daemon off;\npid {dir}/nginx.pid;\nerror_log stderr;\nevents {{}}\n\
             http {{ access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;\n\
             fastcgi_temp_path {dir}/fcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;\n\
             server {{ listen 127.0.0.1:{port}; return 200 hello; }} }}\n"
        ),
    );
    place.service("web", &format!("cmd=nginx -c {dir}/nginx.conf\nready=tcp:{port}\nstop=QUIT\n"));
    let mut going = place.start(&[]);
    going.wait_started("web");
    TcpStream::connect(("127.0.0.1", port)).expect("it is up, and refuses");
    going.stop();
}
