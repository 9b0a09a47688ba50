//! Figures for collectors, in the format they ask for.

use super::Web;
use super::http::{Request, Response};
use crate::client::{Trouble, metrics};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All there are.
pub fn answer(web: &Web, request: &Request) -> Response {
    let text = match metrics::collect(&web.place) {
        Ok(text) => text,
        // Whoever watches the figures is to see that there are none.
        Err(Trouble::NoGoing(_) | Trouble::HungUp(_)) => metrics::render(None, &[]),
        Err(trouble) => {
            return Response::text(502, trouble.sentence().unwrap_or("no answer"));
        }
    };
    let accept = request.header("accept").unwrap_or_default();
    if accept.contains("text/plain") && !accept.contains("application/openmetrics-text") {
        return Response::new(200, PLAIN, plain(&text));
    }
    Response::new(200, OPENMETRICS, text)
}

/// The same in the older format of Prometheus, which has no units and no end, and
/// calls the family of a counter what its samples are called.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut counter = "";
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "UNIT", ..] | ["#", "EOF"] => continue,
            ["#", "TYPE", name, "counter"] => {
                counter = name;
                out.push_str(&format!("# TYPE {name}_total counter"));
            }
            ["#", "HELP", name, help] if *name == counter => {
                out.push_str(&format!("# HELP {name}_total {help}"));
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_collectors_get_what_they_know() {
        let new = "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n# HELP a_seconds A b c.\n\
            a_seconds 1\n# TYPE b counter\n# HELP b C d.\nb_total{x=\"y z\"} 2\n# EOF\n";
        let old = "# TYPE a_seconds gauge\n# HELP a_seconds A b c.\na_seconds 1\n\
            # TYPE b_total counter\n# HELP b_total C d.\nb_total{x=\"y z\"} 2\n";
        assert_eq!(plain(new), old);
    }
}
