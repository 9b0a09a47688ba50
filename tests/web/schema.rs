//! The description of the REST interface, held against the real server by a
//! program of others, which asks all that may be asked and much that may not.

use std::process::Command;

use super::pypi;
use super::site::{Site, users};
use crate::common::{Place, wait_until};

/// Cases for each thing that can be asked, beside those which it always tries.
const CASES: &str = "20";

#[test]
fn the_server_is_as_its_description_says() {
    let Some(folder) = pypi::fetch(&["schemathesis==4.32.5"]) else { return };
    let place = Place::new();
    place
        .service("web", "cmd=sh -c 'trap : HUP INT USR1; while :; do sleep 1; done'\nstdin=pipe\n");
    let mut going = place.start(&["-o", "stdout=log"]);
    going.wait_started("web");
    let site = Site::open(&place, &["--users", &users(&place)]);
    wait_until("there is a log", || place.read("log/web.log").contains("started"));
    place.write("schemathesis.toml", "[parameters]\n\"path.name\" = \"web\"\n");
    let output = Command::new("python3")
        .args(["-W", "ignore", "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"])
        .arg("run")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/etc/openapi.json"))
        .args(["--url", &format!("http://127.0.0.1:{}/api/v1", site.port), "--auth", "ann:secret"])
        .args(["--phases", "examples,coverage,fuzzing", "--checks", "all"])
        .args(["--max-examples", CASES, "--seed", "1", "--warnings", "off"])
        // These would end the test, or take their time.
        .args(["--exclude-path", "/shutdown", "--exclude-path", "/upgrade"])
        .args(["--exclude-path-regex", "stream|wait"])
        .env("PYTHONPATH", &folder)
        // It keeps examples in its working directory.
        .current_dir(&place.dir)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let tested = told.lines().filter_map(|line| line.trim().strip_prefix("Tested: "));
    let tested: Vec<usize> = tested.filter_map(|count| count.parse().ok()).collect();
    assert!(tested.first().is_some_and(|count| *count >= 24), "{told}");
}
