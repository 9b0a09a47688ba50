//! The examples of going-protocol(7): taken out of the page and run, so that
//! whoever copies them has something that works.

use std::process::{Command, Stdio};

use crate::client::{Client, ask};
use crate::common::{Place, has, run};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/going-protocol.7");

/// Writes the example of this name as a file; its path.
fn example(place: &Place, name: &str) -> String {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (begin, end) = (format!(".\\\" begin {name}\n"), format!(".\\\" end {name}\n"));
    let text = page.split_once(&begin).and_then(|(_, it)| it.split_once(&end)).unwrap().0;
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('.')).collect();
    assert!((1..=20).contains(&lines.len()), "{name} has {} lines", lines.len());
    let text = lines.join("\n") + "\n";
    let text = [("\\-", "-"), ("\\(aq", "'"), ("\\(ha", "^"), ("\\e", "\\")]
        .iter()
        .fold(text, |text, (sign, letter)| text.replace(sign, letter));
    place.write(name, text);
    place.path(name)
}

#[test]
fn the_shell_script_of_the_manual_gives_orders() {
    if !has("socat") {
        return;
    }
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    let order = example(&place, "order");
    let give = |words: &[&str]| {
        let run_directory = format!("GOING={}", place.path("run"));
        run(&[&["env", run_directory.as_str(), "sh", &order], words].concat())
    };
    let output = give(&["restart", "web"]);
    assert!(output.status.success(), "{output:?}");
    assert_ne!(going.wait_started("web"), pid);
    let output = give(&["stop", "wep"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "no such service\n");
    going.stop();
}

#[test]
fn the_pipeline_of_the_manual_follows_events() {
    if !has("socat") {
        return;
    }
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let watch = example(&place, "watch");
    let mut child = Command::new("sh")
        .arg(&watch)
        .env("GOING", place.path("run"))
        .env("GOING_TEST", &place.marker)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(place.path("watched")).unwrap())
        .spawn()
        .unwrap();
    let mut client = Client::connect(&place);
    crate::common::wait_until("it to be connected", || {
        client.order(&["command=self"])[0].number("clients") == Some(2)
    });
    place.service("bad", "cmd=false\nbackoff=1h\nbackoff-max=1h\n");
    assert_eq!(place.wait_text("watched"), "bad is quarantined\n");
    going.stop();
    // Ends by itself, as going has hung up.
    child.wait().unwrap();
}

#[test]
fn the_python_client_of_the_manual_prints_blocks() {
    if !has("python3") {
        return;
    }
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\ndescription=back\\\\slash\ntag=a b\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let (client, socket) = (example(&place, "client.py"), place.path("run/control"));
    let told = |lines: &[&str]| {
        let output = run(&[&["python3", client.as_str(), &socket], lines].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = told(&["command=status", "name=web"]);
    let description = ask(&place, &["command=status"]).blocks[0].get("description").unwrap().len();
    let backslashes = "\\".repeat(2 * (description - "backslash".len()));
    assert!(text.starts_with("[('service', 'web'), ('description', 'back"), "{text}");
    assert!(text.contains(&format!("'back{backslashes}slash'")), "{text}");
    assert!(text.contains("('tag', 'a'), ('tag', 'b')"), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().last().unwrap().starts_with("[('result', 'ok'), ('serial', '"), "{text}");
    assert!(told(&["command=stop", "name=*"]).contains("('outcome', 'done')"));
    going.wait_for("web: stopped after *");
    assert!(told(&["command=stpo"]).contains("('code', 'unknown-command')"));
    going.stop();
}
