//! Figures, as Prometheus and its tools read them, and what etc/ has for them.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::site::{Site, free_port};
use crate::common::{Place, has, wait_until};

const ETC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/prometheus");

/// A service in each state that a dashboard is about.
fn services(place: &Place) {
    place.service("web", "cmd=sleep 1000\n");
    place.service("job", "cmd=true\ntype=oneshot\n");
    place.service("dies", "cmd=sh -c 'exit 3'\nbackoff=4m\n");
    place.service("bare", "cmd=/no/such/program\nstrikes=1\n");
}

fn is_settled(site: &Site) -> bool {
    let text = site.get("/metrics").body;
    text.contains("{service=\"dies\",state=\"quarantined\"} 1\n")
        && text.contains("{service=\"bare\",state=\"failed\"} 1\n")
        && text.contains("going_service_up{service=\"web\"} 1\n")
}

#[test]
fn promtool_finds_no_fault_with_figures_and_rules() {
    if !has("promtool") {
        return;
    }
    let place = Place::new();
    services(&place);
    let _going = place.start(&[]);
    let site = Site::open(&place, &[]);
    wait_until("all are as they are to be", || is_settled(&site));
    let ask = |accept: &str| {
        let head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        site.raw(&format!("{head}Accept: {accept}\r\n\r\n"))
    };
    let plain = ask("text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    assert!(plain.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut check.stdin.take().unwrap(), plain.body.as_bytes()).unwrap();
    let told = check.wait_with_output().unwrap();
    assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
    let new = ask("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert!(new.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(new.body.ends_with("# EOF\n") && new.body.contains("going_service_exit_code"));

    for words in [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "going.rules.yml"],
        ["test", "rules", "going.rules.test.yml"],
    ] {
        let told = Command::new("promtool").args(words).current_dir(ETC).output().unwrap();
        assert!(told.status.success(), "{words:?}: {told:?}");
    }
}

/// The real thing, which ends with the test.
struct Prometheus {
    child: Child,
    port: u16,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// With our example of a configuration, but for the port and the patience.
    fn start(place: &Place, site: &Site) -> Prometheus {
        let config = std::fs::read_to_string(format!("{ETC}/prometheus.yml")).unwrap();
        let config = config.replace("127.0.0.1:9001", &format!("127.0.0.1:{}", site.port));
        place.write("prometheus.yml", format!("global: {{scrape_interval: 1s}}\n{config}"));
        let rules = std::fs::read(format!("{ETC}/going.rules.yml")).unwrap();
        place.write("going.rules.yml", rules);
        let port = free_port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", place.path("prometheus.yml")))
            .arg(format!("--storage.tsdb.path={}", place.path("tsdb")))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(place.path("prometheus.err")).unwrap())
            .spawn()
            .unwrap();
        Prometheus { child, port }
    }

    /// What a question comes to: the values by service.
    fn ask(&self, question: &str) -> Vec<(String, String)> {
        let output = Command::new("curl")
            .args(["-s", "-G", "--data-urlencode", &format!("query={question}")])
            .arg(format!("http://127.0.0.1:{}/api/v1/query", self.port))
            .output()
            .unwrap();
        let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) else { return Vec::new() };
        assert_ne!(answer["status"], "error", "{question}: {answer}");
        let results = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        results.iter().map(|it| (text(&it["metric"]["service"]), text(&it["value"][1]))).collect()
    }
}

#[test]
fn the_real_prometheus_collects_what_the_dashboard_shows() {
    if !has("prometheus") || !has("curl") {
        return;
    }
    let place = Place::new();
    services(&place);
    place.service("odd", "cmd=true\nfoo=1\n");
    let _going = place.start(&[]);
    let site = Site::open(&place, &[]);
    wait_until("all are as they are to be", || is_settled(&site));
    let prometheus = Prometheus::start(&place, &site);
    // Two looks make a rate.
    wait_until("it has looked twice", || {
        prometheus.ask("count_over_time(going_up[1m]) > 1").len() == 1
    });
    let is_up = |name: &str| prometheus.ask(&format!("going_service_up{{service='{name}'}}"));
    assert_eq!(is_up("web"), [("web".to_owned(), "1".to_owned())]);
    assert_eq!(is_up("bare"), [("bare".to_owned(), "0".to_owned())]);
    let dashboard = std::fs::read_to_string(format!("{ETC}/grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut count = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let question = target["expr"].as_str().unwrap();
            let question = question.replace("$__rate_interval", "1m");
            let question = question.replace("$instance", ".*").replace("$service", ".*");
            let found = prometheus.ask(&question);
            assert!(!found.is_empty(), "{}: {question}", panel["title"]);
            if panel["title"] == "Wanted, but not up" {
                assert_eq!(found[0].1, "2", "dies and bare, and not job");
            }
            count += 1;
        }
    }
    assert!(count > 15, "{count}");
}
