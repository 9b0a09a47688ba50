//! Messages over HTTP, in the form which the one at the other end takes.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::super::event::{self, Alert};
use super::super::settings::{Hook, Settings, Shape};
use super::super::values::check_url;
use super::{Failure, host, mail, secret, tls};
use crate::client::json;

/// What is posted, and under which headers.
struct Post {
    body: String,
    headers: Vec<(&'static str, String)>,
}

/// Posts it.
pub fn post(settings: &Settings, hook: &Hook, alerts: &[Alert]) -> Result<(), Failure> {
    let secret = match &settings.secret {
        Some(source) => Some(secret::read(source).map_err(|it| Failure::Passing(it.sentence()))?),
        None => None,
    };
    let (url, token) = match hook {
        Hook::Url(url) => (url.clone(), secret),
        Hook::Secret => (secret.unwrap_or_default(), None),
    };
    check_url(&url).map_err(|wrong| Failure::Passing(format!("the URL {wrong}")))?;
    let post = form(settings, alerts, token.as_deref());
    let agent = agent(settings, url.starts_with("https:")).map_err(Failure::Passing)?;
    let mut request = agent.post(&url);
    for (name, value) in &post.headers {
        request = request.header(*name, value);
    }
    // What it says may name the URL, which may be a secret.
    let failed = |error: ureq::Error| {
        Failure::Passing(format!("{}: {}", place(&url), error.to_string().replace(&url, "it")))
    };
    let answer = request.send(post.body.as_bytes()).map_err(failed)?;
    judge(&url, answer.status().as_u16())
}

/// The part of an URL that may be shown.
fn place(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn judge(url: &str, status: u16) -> Result<(), Failure> {
    let text = format!("{} answers with status {status}", place(url));
    match status {
        200..300 => Ok(()),
        // These are about what was posted. With others, somebody can help.
        400 | 413 | 415 | 422 => Err(Failure::Refused(text)),
        _ => Err(Failure::Passing(text)),
    }
}

fn agent(settings: &Settings, is_secure: bool) -> Result<Agent, String> {
    let mut config = Agent::config_builder()
        .timeout_global(Some(settings.timeout))
        .http_status_as_error(false)
        // A post that becomes a get on its way tells nobody.
        .max_redirects(0)
        .user_agent(concat!("going-alert/", env!("CARGO_PKG_VERSION")));
    if is_secure {
        let roots = tls::roots(settings.tls_ca.as_deref())?;
        let roots: Vec<Certificate> =
            roots.iter().map(|it| Certificate::from_der(it).to_owned()).collect();
        let config_of_tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(tls::provider())
            .build();
        config = config.tls_config(config_of_tls);
    }
    Ok(config.build().into())
}

fn form(settings: &Settings, alerts: &[Alert], token: Option<&str>) -> Post {
    let host = host();
    let (subject, text) = (event::subject(alerts, &host), event::text(alerts));
    let bearer = token.map(|token| ("Authorization", format!("Bearer {token}")));
    let as_json = ("Content-Type", "application/json".to_owned());
    let with = |body: Value| Post {
        body: body.to_string(),
        headers: [as_json.clone()].into_iter().chain(bearer.clone()).collect(),
    };
    match settings.shape {
        Shape::Json => with(json!({
            "host": host,
            "subject": subject,
            "text": text,
            "events": alerts.iter().map(facts).collect::<Vec<_>>(),
        })),
        Shape::Slack => with(json!({ "text": format!("*{subject}*\n```\n{text}```") })),
        Shape::Ntfy => {
            let is_grave = alerts.iter().any(Alert::is_grave);
            let priority = if is_grave { "high" } else { "default" }.to_owned();
            let title = ("Title", mail::encoded(&subject));
            let plain = ("Content-Type", "text/plain; charset=utf-8".to_owned());
            let headers = [plain, title, ("Priority", priority)].into_iter().chain(bearer);
            Post { body: text, headers: headers.collect() }
        }
        Shape::Mailgun => {
            let from = mail::sender(settings, &host);
            let mut pairs = vec![("from", &*from), ("subject", &*subject), ("text", &*text)];
            pairs.extend(settings.mail.iter().map(|to| ("to", &**to)));
            let proof = STANDARD.encode(format!("api:{}", token.unwrap_or_default()));
            let kind = "application/x-www-form-urlencoded".to_owned();
            let headers = vec![("Content-Type", kind), ("Authorization", format!("Basic {proof}"))];
            Post { body: urlencoded(&pairs), headers }
        }
        Shape::PagerDuty => {
            let is_grave = alerts.iter().any(Alert::is_grave);
            let is_over = alerts.iter().all(|it| it.get("kind") == "recovered");
            let service = alerts.first().map_or("going", |it| it.get("service"));
            let body = json!({
                "routing_key": token,
                "event_action": if is_over { "resolve" } else { "trigger" },
                "dedup_key": format!("going/{host}/{service}"),
                "payload": {
                    "summary": subject.chars().take(1024).collect::<String>(),
                    "source": host,
                    "component": service,
                    "severity": if is_grave { "error" } else { "info" },
                    "custom_details": { "text": text },
                },
            });
            Post { body: body.to_string(), headers: vec![as_json] }
        }
    }
}

/// One event, with all that going said of it.
fn facts(alert: &Alert) -> Value {
    let mut value = Value::from(json::object(&alert.facts));
    if let Some(object) = value.as_object_mut() {
        let lines: Vec<&str> = alert.facts.all("line").collect();
        object.remove("line");
        object.insert("id".to_owned(), Value::from(alert.id.clone()));
        object.insert("time".to_owned(), Value::from(alert.time()));
        object.insert("at".to_owned(), Value::from(alert.facts.number("at")));
        object.insert("lines".to_owned(), Value::from(lines));
    }
    value
}

/// As forms in browsers are sent.
fn urlencoded(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(key);
        text.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    text.push(char::from(byte));
                }
                // Writing into a string cannot fail.
                _ => _ = write!(text, "%{byte:02X}"),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Message;

    fn alerts() -> Vec<Alert> {
        let event = Message::parse(b"service=web\nstate=failed\nexit=3\n").unwrap();
        vec![Alert::new("failed", "web: failed", 7, &["a \"b\"".to_owned()], &event)]
    }

    fn posted(shape: Shape) -> Post {
        let settings =
            Settings { shape, mail: vec!["ops@example.org".to_owned()], ..Settings::default() };
        form(&settings, &alerts(), Some("k&y"))
    }

    #[test]
    fn everybody_gets_the_form_they_take() {
        let body = |shape| serde_json::from_str::<Value>(&posted(shape).body).unwrap();
        let json = body(Shape::Json);
        assert_eq!(json["events"][0]["exit"], 3);
        assert_eq!(json["events"][0]["lines"][0], "a \"b\"");
        assert_eq!(json["events"][0]["kind"], "failed");
        assert!(body(Shape::Slack)["text"].as_str().unwrap().contains("web: failed"));
        let duty = body(Shape::PagerDuty);
        assert_eq!(
            (&duty["routing_key"], &duty["event_action"]),
            (&"k&y".into(), &"trigger".into())
        );
        assert_eq!(duty["payload"]["severity"], "error");
        let mailgun = posted(Shape::Mailgun);
        assert!(mailgun.body.contains("&to=ops%40example.org"), "{}", mailgun.body);
        assert_eq!(mailgun.headers[1].1, format!("Basic {}", STANDARD.encode("api:k&y")));
        assert!(posted(Shape::Ntfy).headers.contains(&("Priority", "high".to_owned())));
    }

    #[test]
    fn only_the_place_of_a_url_is_told() {
        let url = "https://hooks.example.org:8443/services/SECRET?x=1";
        let Err(Failure::Passing(text)) = judge(url, 500) else { panic!() };
        assert_eq!(text, "hooks.example.org:8443 answers with status 500");
        assert!(matches!(judge(url, 400), Err(Failure::Refused(_))));
        assert!(matches!(judge(url, 302), Err(Failure::Passing(_))));
        assert_eq!(judge(url, 204), Ok(()));
    }
}
