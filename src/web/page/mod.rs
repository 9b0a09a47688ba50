//! The page: readable as it is sent, and alive with a script. It takes nothing
//! from anywhere else, and what services are called or write is text, never
//! markup.

use std::fmt::Write as _;

mod service;
mod table;

use super::Web;
use super::auth::COOKIE;
use super::http::{Request, Response};
use super::route::Answer;
use super::users::{Role, hex, random};
use crate::client::reply::{Death, End, Status};
use crate::client::{self, Reply, say};
use crate::protocol::{Command, Message, Request as Question, State};

const STYLE: &str = include_str!("style.css");

/// All in one, each part of it in braces of its own.
const SCRIPT: &str =
    concat!(include_str!("script.js"), include_str!("table.js"), include_str!("service.js"));

/// Orders that a form may give.
const FORMS: [(&str, Command); 4] = [
    ("start", Command::Start),
    ("stop", Command::Stop),
    ("restart", Command::Restart),
    ("retry", Command::Retry),
];

/// Answers an address for people.
pub fn answer(web: &Web, request: &Request, role: Role, parts: &[&str]) -> Answer {
    let is_read = request.method != "POST";
    match (is_read, parts) {
        (true, [""]) => table::show(web, request, role).into(),
        (true, ["services", name]) => service::show(web, name, role).into(),
        (false, ["act"]) => act(web, request).into(),
        (true, ["favicon.ico"]) => Response::new(204, "image/x-icon", "").into(),
        _ => Response::text(404, "there is nothing here").into(),
    }
}

/// Text as markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A name as part of an address.
fn address(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                out.push(char::from(byte));
            }
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

/// A whole page around this.
struct Page<'a> {
    title: &'a str,
    /// More in the head.
    head: &'a str,
    /// More attributes of the body.
    about: String,
    role: Role,
    /// Something to be said first, and whether it is bad news.
    note: (String, bool),
    main: String,
}

fn page(web: &Web, status: u16, page: &Page) -> Response {
    let Ok(nonce) = random() else { return Response::text(500, "no random numbers") };
    let nonce = hex(&nonce);
    let role = if page.role == Role::Full { "full" } else { "read" };
    let (note, is_bad) = &page.note;
    let kind = if *is_bad { " class=\"bad\"" } else { "" };
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{}</title>{}<style nonce=\"{nonce}\">{STYLE}</style></head>\
         <body data-role=\"{role}\"{}><header><h1><a href=\"/\">going</a></h1>\
         <span class=\"soft\" id=\"count\"></span><span class=\"grow\"></span>\
         <span id=\"link\" hidden></span></header>\
         <main><p id=\"note\" role=\"status\" aria-live=\"polite\"{kind}>{}</p>{}</main>\
         <footer>going-web {}</footer><script nonce=\"{nonce}\">{SCRIPT}</script></body></html>\n",
        escaped(page.title),
        page.head,
        page.about,
        escaped(note),
        page.main,
        env!("CARGO_PKG_VERSION"),
    );
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
         connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", web.token);
    Response::new(status, "text/html; charset=utf-8", text)
        .with("Content-Security-Policy", policy)
        .with("Set-Cookie", cookie)
}

fn ask(web: &Web, command: Command, names: Vec<String>) -> Result<Reply, String> {
    let question = Question { names, ..Question::new(command) };
    let reply = client::ask(&web.place, &question);
    reply.map_err(|trouble| trouble.sentence().unwrap_or("going does not answer").to_owned())
}

/// What can sensibly be asked of a service as it is now; table.js has the same.
fn orders(service: &Status) -> &'static [&'static str] {
    if service.pid.is_some() {
        &["stop", "restart"]
    } else if service.is_refused {
        &[]
    } else if service.is(State::Quarantined) {
        &["retry", "stop"]
    } else if service.is(State::Waiting) || service.is(State::Listening) {
        &["start", "stop"]
    } else {
        &["start"]
    }
}

/// Buttons which work without a script.
fn forms(out: &mut String, service: &Status, token: &str) {
    let name = escaped(&service.name);
    for word in orders(service) {
        let _ = write!(
            out,
            "<form class=\"act\" method=\"post\" action=\"/act\">\
             <input type=\"hidden\" name=\"token\" value=\"{token}\">\
             <input type=\"hidden\" name=\"name\" value=\"{name}\">\
             <input type=\"hidden\" name=\"action\" value=\"{word}\">\
             <button aria-label=\"{word} {name}\">{word}</button></form> "
        );
    }
}

fn dot(state: &str) -> String {
    let state = escaped(state);
    format!("<span class=\"state {state}\">{state}</span>")
}

/// What is to be said of a service, in a few words.
fn story(service: &Status) -> String {
    if !service.complaints.is_empty() {
        return service.complaints.join("; ");
    }
    if let Some(condition) = &service.unmet {
        return format!("the condition {condition} is not met");
    }
    let is_fine = service.is(State::Up) || service.is(State::Done);
    match service.last.as_ref().filter(|_| !is_fine) {
        Some(death) => ended(death),
        None => service.description.clone().unwrap_or_default(),
    }
}

fn ended(death: &Death) -> String {
    match death.end {
        End::Fault(_) => say::ended(&death.end),
        End::Exit(_) | End::Signal { .. } | End::Memory | End::Unknown => {
            format!("{} after {}", say::ended(&death.end), say::span(death.ran))
        }
    }
}

/// What happened, as a list, the newest first; of all services or of one.
fn happenings(out: &mut String, web: &Web, of: Option<&str>) {
    /// More is of no use without a search.
    const EVENTS: usize = 20;
    let reply = client::ask(&web.place, &Question::new(Command::Events));
    let blocks = reply.map(|reply| reply.blocks).unwrap_or_default();
    let is_wanted = |it: &&Message| of.is_none() || it.get("service") == of;
    out.push_str("<h2>Events</h2><ol id=\"events\">");
    for block in blocks.iter().rev().filter(is_wanted).take(EVENTS) {
        let ago = block.number("ago-ms").unwrap_or(0);
        let ago = say::span(std::time::Duration::from_millis(ago));
        let name = block.get("service").unwrap_or_default();
        let told = match (block.get("was"), block.get("state")) {
            (Some(was), Some(state)) => {
                let end = Death::read(block, "").map(|death| format!(" ({})", ended(&death)));
                format!("{} → {}{}", escaped(was), dot(state), escaped(&end.unwrap_or_default()))
            }
            _ => escaped(block.get("message").unwrap_or_default()),
        };
        let link = if of.is_some() {
            String::new()
        } else {
            format!("<a href=\"/services/{}\">{}</a> ", address(name), escaped(name))
        };
        let _ = write!(out, "<li><span class=\"soft\">{} ago</span> {link}{told}", escaped(&ago));
    }
    out.push_str("</ol>");
}

/// Does what a form asks for. Whether it may was looked at already.
fn act(web: &Web, request: &Request) -> Response {
    let form = request.form().unwrap_or_default();
    let field = |name: &str| form.iter().find(|it| it.0 == name).map(|it| it.1.clone());
    let (Some(name), Some(word)) = (field("name"), field("action")) else {
        return Response::text(400, "what is to be done?");
    };
    let Some((_, command)) = FORMS.iter().find(|(known, _)| *known == word) else {
        return Response::text(400, "there is no such order");
    };
    let note = match ask(web, *command, vec![name.clone()]) {
        Err(why) => why,
        Ok(reply) => {
            let told = reply.blocks.iter().find_map(|block| block.get("message"));
            let told = told.or(reply.message.as_deref()).filter(|_| reply.code.is_some());
            told.map_or_else(|| format!("{name}: {word} asked for"), str::to_owned)
        }
    };
    Response::text(303, "done").with("Location", format!("/?note={}", address(&note)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        assert_eq!(escaped("<b a='1'>&\"x"), "&lt;b a=&#39;1&#39;&gt;&amp;&quot;x");
        assert_eq!(address("web@1/ä"), "web%401%2F%C3%A4");
    }
}
