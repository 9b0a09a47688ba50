//! goingctl on a terminal: color, progress, the screens of --watch and top, and
//! the shell of its own. Whatever is done to the terminal is undone.

#[path = "ctl/mod.rs"]
mod client;
mod common;

use client::{Terminal, command, ctl, wait_ready, wait_state};
use common::{Place, has, wait_until};

const SLEEP: &str = "cmd=sleep 100000\n";

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

#[test]
fn color_is_for_terminals_that_want_it() {
    if !has("script") {
        return;
    }
    let place = Place::new();
    place.service("web", SLEEP);
    let mut going = place.start(&[]);
    going.wait_started("web");
    let painted = "\x1b[32mup\x1b[0m";
    for (args, is_painted) in
        [(&["status"][..], true), (&["--color", "never", "status"], false), (&["ping"], false)]
    {
        let mut terminal = Terminal::new(&place, args);
        assert_eq!(terminal.wait_exit(), 0);
        assert_eq!(terminal.shown().contains(painted), is_painted, "{args:?}");
    }
    assert!(!ctl(&place, &["status"]).out.contains('\x1b'));
    assert!(ctl(&place, &["status", "--color", "always"]).out.contains(painted));
    let line = format!(
        "NO_COLOR=1 {} -r {} status; TERM=dumb {0} -r {1} status",
        client::goingctl(),
        place.path("run")
    );
    let shown = common::run(&["script", "-qec", &line, "/dev/null"]).stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("web") && !shown.contains('\x1b'), "{shown:?}");
    going.stop();
}

#[test]
fn watching_takes_the_screen_and_gives_it_back() {
    if !has("script") {
        return;
    }
    let place = Place::new();
    place.service("web", SLEEP);
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    let mut terminal = Terminal::new(&place, &["status", "--watch"]);
    terminal.wait_for(&format!("{pid}"));
    assert!(terminal.shown().contains(ENTER));
    assert_eq!(ctl(&place, &["stop", "web"]).code, 0);
    terminal.wait_for("1 down");
    terminal.type_keys("x");
    terminal.type_keys("q");
    assert_eq!(terminal.wait_exit(), 0);
    assert!(terminal.shown().contains(LEAVE));
    going.stop();
}

#[test]
fn interrupted_screens_are_given_back_as_well() {
    if !has("script") {
        return;
    }
    let place = Place::new();
    place.service("web", SLEEP);
    let mut going = place.start(&[]);
    going.wait_started("web");
    for words in [&["status", "--watch"][..], &["top"]] {
        let mut terminal = Terminal::new(&place, words);
        terminal.wait_for("web");
        // Ctrl-C, which the terminal makes a SIGINT of.
        terminal.type_keys("\x03");
        assert_eq!(terminal.wait_exit(), 0, "{words:?}");
        assert!(terminal.shown().contains(LEAVE), "{words:?}");
    }
    going.stop();
}

/// The terminal gets as small as a stamp, and what is shown gets smaller too.
#[test]
fn pictures_fit_the_terminal_when_it_is_resized() {
    if !has("script") || !has("stty") {
        return;
    }
    let place = Place::new();
    place.service("a-service-with-a-rather-long-name", SLEEP);
    let mut going = place.start(&[]);
    going.wait_started("a-service-with-a-rather-long-name");
    let tty = place.path("tty-name");
    let line = format!(
        "tty >{tty}; stty rows 24 cols 80; exec {} -r {} status -w",
        client::goingctl(),
        place.path("run")
    );
    let mut terminal = Terminal::of_line(&place, &line);
    terminal.wait_for("a-service-with-a-rather-long-name");
    let seen = terminal.shown().len();
    let tty = place.wait_text("tty-name");
    let device = tty.trim();
    assert!(common::run(&["stty", "-F", device, "rows", "3", "cols", "9"]).status.success());
    // The title row is the last of three, cut after nine letters.
    wait_until("a small picture", || {
        let shown = terminal.shown();
        let last = shown.get(seen..).unwrap_or_default().rsplit("\x1b[H").next().unwrap_or("");
        let plain = last.replace("\x1b[2m", "").replace("\x1b[0m", "");
        plain.trim_end().ends_with("NAME     \x1b[K\x1b[J") && !last.contains("a-service")
    });
    terminal.type_keys("q");
    assert_eq!(terminal.wait_exit(), 0);
    going.stop();
}

#[test]
fn top_sorts_as_one_likes() {
    if !has("script") {
        return;
    }
    let place = Place::new();
    place.service("busy", "cmd=sh -c 'while :; do :; done'\n");
    place.service("idle", SLEEP);
    let mut going = place.start(&[]);
    going.wait_all_started(["busy", "idle"]);
    let mut terminal = Terminal::new(&place, &["top"]);
    let order = |terminal: &Terminal| {
        let shown = terminal.shown();
        let last = shown.rsplit("\x1b[H").next().unwrap_or("").to_owned();
        Some(last.find("busy")? < last.find("idle")?)
    };
    wait_until("busy to be first", || order(&terminal) == Some(true));
    place.service("aaa", SLEEP);
    going.wait_started("aaa");
    terminal.type_keys("n");
    let is_by_name = |terminal: &Terminal| {
        let shown = terminal.shown();
        let last = shown.rsplit("\x1b[H").next().unwrap_or("").to_owned();
        Some(last.find("aaa")? < last.find("busy")? && last.find("busy")? < last.find("idle")?)
    };
    wait_until("names in their order", || is_by_name(&terminal) == Some(true));
    terminal.type_keys("q");
    assert_eq!(terminal.wait_exit(), 0);
    going.stop();
}

#[test]
fn waiting_shows_what_for_and_clears_it_away() {
    if !has("script") {
        return;
    }
    let place = Place::new();
    let text = place.logged("web", "trap '' TERM; while :; do sleep 1; done");
    place.service("web", &format!("{text}stop=TERM 3s KILL\n"));
    let mut going = place.start(&[]);
    going.wait_started("web");
    let pid = place.wait_starts("web", 1);
    let mut terminal = Terminal::new(&place, &["stop", "web"]);
    terminal.wait_for(&format!("waiting for 1 service: web stopping (pid {pid}), SIGTERM sent"));
    assert_eq!(terminal.wait_exit(), 0);
    let shown = terminal.shown();
    assert!(shown.contains("\r\x1b[Kweb: down"), "{shown:?}");
    going.stop();
}

#[test]
fn shell_completes_and_remembers() {
    if !has("script") {
        return;
    }
    let place = Place::new();
    place.service("webserver", SLEEP);
    let mut going = place.start(&[]);
    going.wait_started("webserver");
    let mut terminal = Terminal::new(&place, &[]);
    terminal.wait_line(1);
    // Tab completes the command, then the name of the service.
    terminal.type_keys("sto\tweb\t\r");
    terminal.wait_for("webserver: down");
    wait_state(&place, "webserver", "down");
    terminal.wait_line(2);
    terminal.type_keys("frobnicate\r");
    terminal.wait_for("no command \"frobnicate\"");
    terminal.wait_line(3);
    // Ctrl-C throws a line away, but not us; the arrow gets an old one back.
    terminal.type_keys("nonsense\x03");
    terminal.wait_line(4);
    terminal.type_keys("\x1b[A\x1b[A\r");
    terminal.wait_for("webserver: already down");
    terminal.wait_line(5);
    terminal.type_keys("ping\r");
    terminal.wait_for("going answers");
    terminal.wait_line(6);
    terminal.type_keys("\x04");
    assert_eq!(terminal.wait_exit(), 0);
    let history = place.read(".local/state/goingctl/history");
    assert!(history.contains("stop webserver \n") && history.contains("ping\n"), "{history}");
    going.stop();
}

#[test]
fn interrupting_a_command_of_the_shell_leaves_the_shell() {
    if !has("script") {
        return;
    }
    let place = Place::new();
    place.service("web", SLEEP);
    let mut going = place.start(&[]);
    going.wait_started("web");
    let mut terminal = Terminal::new(&place, &[]);
    terminal.wait_line(1);
    terminal.type_keys("wait web --for failed\r");
    terminal.wait_for("waiting for 1 service");
    terminal.type_keys("\x03");
    terminal.wait_line(2);
    terminal.type_keys("ping\r");
    terminal.wait_for("going answers");
    terminal.wait_line(3);
    terminal.type_keys("exit\r");
    assert_eq!(terminal.wait_exit(), 0);
    going.stop();
}

#[test]
fn screens_need_a_terminal() {
    let place = Place::new();
    let mut going = place.start(&[]);
    wait_ready(&place);
    for args in [&["top"][..], &["status", "--watch"]] {
        let said: client::Said = command(&place, args).output().unwrap().into();
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
        assert!(said.err.contains("needs a terminal"), "{said:?}");
    }
    going.stop();
}
