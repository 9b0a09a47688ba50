//! The page: readable as it is sent, and alive with a script. It takes nothing
//! from anywhere else, and what services are called or write is text, never
//! markup.

use std::fmt::Write as _;

use super::auth::COOKIE;
use super::http::{Request, Response};
use super::route::Answer;
use super::users::{Role, hex, random};
use super::{Web, logs};
use crate::client::reply::{Death, Status};
use crate::client::say;
use crate::client::usage::{Usage, measured};
use crate::client::{self, Reply, log};
use crate::protocol::{Command, Request as Question};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Lines of a log on a page that does not move.
const LINES: u64 = 200;

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
        (true, [""]) => table(web, request, role).into(),
        (true, ["services", name]) => service(web, name, role).into(),
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
    /// More attributes of the body.
    about: String,
    role: Role,
    note: String,
    main: String,
}

fn page(web: &Web, status: u16, page: &Page) -> Response {
    let Ok(nonce) = random() else { return Response::text(500, "no random numbers") };
    let nonce = hex(&nonce);
    let role = if page.role == Role::Full { "full" } else { "read" };
    let note = if page.note.is_empty() { "" } else { " class=\"bad\"" };
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{}</title><style nonce=\"{nonce}\">{STYLE}</style></head>\
         <body data-role=\"{role}\"{}><header><h1><a href=\"/\">going</a></h1>\
         <span class=\"soft\" id=\"count\"></span><span class=\"grow\"></span></header>\
         <main><p id=\"note\" role=\"status\" aria-live=\"polite\"{note}>{}</p>{}</main>\
         <footer>going-web {}</footer><script nonce=\"{nonce}\">{SCRIPT}</script></body></html>\n",
        escaped(page.title),
        page.about,
        escaped(&page.note),
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

/// Why there is nothing to show.
fn nothing(web: &Web, role: Role, status: u16, note: &str) -> Response {
    let main = "<p class=\"empty\">Nothing can be shown at the moment.</p>".to_owned();
    page(
        web,
        status,
        &Page { title: "going", about: String::new(), role, note: note.to_owned(), main },
    )
}

fn ask(web: &Web, command: Command, names: Vec<String>) -> Result<Reply, String> {
    let question = Question { names, ..Question::new(command) };
    let reply = client::ask(&web.place, &question);
    reply.map_err(|trouble| trouble.sentence().unwrap_or("going does not answer").to_owned())
}

fn table(web: &Web, request: &Request, role: Role) -> Response {
    let (rows, note) = match ask(web, Command::Status, Vec::new()) {
        Ok(reply) => (measured(reply.blocks.iter().filter_map(Status::read).collect()), None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let is_lost = note.is_some();
    let note = note.or_else(|| request.asks("note").map(str::to_owned)).unwrap_or_default();
    let mut main = "<div class=\"tools\"><input type=\"search\" id=\"filter\" \
        placeholder=\"name, state or @tag\" aria-label=\"Show only services like this\">"
        .to_owned();
    if role == Role::Full {
        for word in ["start", "stop", "restart"] {
            let _ = write!(main, "<button data-all=\"{word}\">{word} these</button>");
        }
    }
    main.push_str(
        "</div><table><thead><tr><th>service<th>state<th class=\"number\">uptime\
         <th class=\"number\">restarts<th class=\"number\">memory<th class=\"number\">CPU<th>why<th>\
         </thead><tbody id=\"services\">",
    );
    for (service, usage) in &rows {
        row(&mut main, service, *usage, role, &web.token);
    }
    let hidden = if rows.is_empty() { "" } else { " hidden" };
    let empty = if is_lost {
        "Going does not answer. This page shows its services as soon as it does."
    } else {
        "No services yet. Drop a file into going's directory, and it appears here."
    };
    let _ = write!(
        main,
        "</tbody></table><p class=\"empty\" id=\"empty\"{hidden}>{empty}</p>\
         <p class=\"soft\"><kbd>/</kbd> search <kbd>j</kbd> <kbd>k</kbd> choose \
         <kbd>Enter</kbd> open <kbd>s</kbd> start <kbd>t</kbd> stop <kbd>r</kbd> restart</p>"
    );
    let status = if is_lost { 503 } else { 200 };
    page(web, status, &Page { title: "going", about: String::new(), role, note, main })
}

fn row(out: &mut String, service: &Status, usage: Option<Usage>, role: Role, token: &str) {
    let name = escaped(&service.name);
    let state = escaped(&service.state);
    let uptime = service.uptime.map(say::span).unwrap_or_default();
    let memory = usage.map(|usage| say::size(usage.memory)).unwrap_or_default();
    let _ = write!(
        out,
        "<tr><td><a href=\"/services/{}\">{name}</a><td><span class=\"state {state}\">{state}</span>\
         <td class=\"number\">{uptime}<td class=\"number\">{}<td class=\"number\">{memory}\
         <td class=\"number\"><td class=\"wide\"><span class=\"why\">{}</span><td class=\"acts\">",
        address(&service.name),
        service.starts.saturating_sub(1),
        escaped(&story(service)),
    );
    if role == Role::Full {
        let words: &[&str] =
            if service.pid.is_some() { &["stop", "restart"] } else { &["start", "restart"] };
        for word in words {
            form(out, &service.name, word, token);
        }
    }
}

fn form(out: &mut String, name: &str, word: &str, token: &str) {
    let name = escaped(name);
    let _ = write!(
        out,
        "<form class=\"act\" method=\"post\" action=\"/act\">\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\
         <input type=\"hidden\" name=\"name\" value=\"{name}\">\
         <input type=\"hidden\" name=\"action\" value=\"{word}\">\
         <button aria-label=\"{word} {name}\">{word}</button></form> "
    );
}

/// What is to be said of a service, in a few words.
fn story(service: &Status) -> String {
    if !service.complaints.is_empty() {
        return service.complaints.join("; ");
    }
    let is_up = service.state == "up";
    match service.last.as_ref().filter(|_| !is_up) {
        Some(death) => ended(death),
        None => service.description.clone().unwrap_or_default(),
    }
}

fn ended(death: &Death) -> String {
    format!("{} after {}", say::ended(&death.end), say::span(death.ran))
}

fn service(web: &Web, name: &str, role: Role) -> Response {
    let reply = match ask(web, Command::Why, vec![name.to_owned()]) {
        Ok(reply) => reply,
        Err(why) => return nothing(web, role, 503, &why),
    };
    let is_it = |it: &&crate::protocol::Message| it.get("service") == Some(name);
    let Some(block) = reply.blocks.iter().find(is_it) else {
        return nothing(web, role, 404, "There is no such service.");
    };
    let Some(service) = Status::read(block) else {
        return nothing(web, role, 404, "There is no such service.");
    };
    let mut main = format!("<h2>{}</h2><p>", escaped(name));
    let state = escaped(&service.state);
    let pid = service.pid.map(|pid| format!("pid {pid}")).unwrap_or_default();
    let _ = write!(
        main,
        "<span id=\"state\" class=\"state {state}\">{state}</span> \
         <span id=\"facts\">{pid} {}</span></p><div class=\"tools\">",
        escaped(&story(&service)),
    );
    if role == Role::Full {
        for (word, _) in FORMS {
            form(&mut main, name, word, &web.token);
        }
    }
    main.push_str("</div><h2>Why</h2><dl>");
    let deaths = reply.blocks.iter().filter(|it| it.get("death").is_some());
    let deaths: Vec<Death> = deaths.filter_map(|it| Death::read(it, "")).collect();
    for death in &deaths {
        let order = if death.ordered { ", by order" } else { "" };
        let _ = write!(
            main,
            "<dt>{} ago<dd>{}{order}",
            escaped(&say::span(death.ago)),
            escaped(&ended(death))
        );
    }
    main.push_str(if deaths.is_empty() {
        "</dl><p class=\"soft\">It never ended.</p>"
    } else {
        "</dl>"
    });
    main.push_str(
        "<h2>Log</h2><div class=\"tools\"><input type=\"search\" id=\"search\" \
         placeholder=\"search\" aria-label=\"Show only lines with this\">\
         <button id=\"pause\">pause</button><span class=\"soft\" id=\"hits\"></span></div>\
         <pre id=\"log\" tabindex=\"0\">",
    );
    let lines = log::of(block, log::Wanted::Both).and_then(|it| logs::last(it, LINES, None));
    match lines {
        Ok(lines) => main.push_str(&escaped(&String::from_utf8_lossy(&logs::joined(&lines)))),
        Err(why) => main.push_str(&escaped(&why)),
    }
    main.push_str("</pre>");
    let about = format!(" data-service=\"{}\"", escaped(name));
    let title = format!("{name} · going");
    page(web, 200, &Page { title: &title, about, role, note: String::new(), main })
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
