//! The page of one service.

use std::fmt::Write as _;

use super::{Page, address, ask, dot, ended, escaped, forms, happenings, page, story};
use crate::client::reply::{Death, Status};
use crate::client::usage::measured;
use crate::client::{log, say};
use crate::protocol::{Command, Message};
use crate::web::http::Response;
use crate::web::users::Role;
use crate::web::{Web, logs};

/// Lines of a log on a page that does not move.
const LINES: u64 = 200;

/// Why there is nothing to show. There may be soon.
fn nothing(web: &Web, role: Role, status: u16, note: &str) -> Response {
    let main = "<p class=\"empty\">Nothing can be shown at the moment. <a href=\"/\">All \
        services</a></p>"
        .to_owned();
    let head = if status == 503 { "<meta http-equiv=\"refresh\" content=\"3\">" } else { "" };
    let note = (note.to_owned(), true);
    page(web, status, &Page { title: "going", head, about: String::new(), role, note, main })
}

/// The page.
pub fn show(web: &Web, name: &str, role: Role) -> Response {
    let reply = match ask(web, Command::Why, vec![name.to_owned()]) {
        Ok(reply) => reply,
        Err(why) => return nothing(web, role, 503, &why),
    };
    let is_it = |it: &&Message| it.get("service") == Some(name);
    let found = reply.blocks.iter().find(is_it).and_then(|it| Some((it, Status::read(it)?)));
    let Some((block, service)) = found else {
        return nothing(web, role, 404, "There is no such service.");
    };
    let mut main = format!("<h2 class=\"name\">{}</h2>", escaped(name));
    let _ = write!(
        main,
        "<p><span id=\"state\">{}</span> <span id=\"story\" class=\"soft\">{}</span></p>\
         <div class=\"tools\" id=\"acts\">",
        dot(&service.state),
        escaped(&story(&service)),
    );
    if role == Role::Full {
        forms(&mut main, &service, &web.token);
    }
    main.push_str("</div><div class=\"pair\"><section><h2>Facts</h2><dl id=\"facts\">");
    facts(&mut main, block, service);
    main.push_str("</dl></section><section><h2>Why it ended</h2>");
    deaths(&mut main, &reply.blocks);
    main.push_str("</section></div>");
    output(&mut main, block, name);
    happenings(&mut main, web, Some(name));
    let about = format!(" data-service=\"{}\"", escaped(name));
    let title = format!("{name} · going");
    let note = Default::default();
    page(web, 200, &Page { title: &title, head: "", about, role, note, main })
}

/// What service.js shows, too.
fn facts(out: &mut String, block: &Message, service: Status) {
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = write!(out, "<dt>{name}<dd>{}", escaped(&value));
        }
    };
    let tags: Vec<&str> =
        block.pairs().filter(|(key, _)| *key == "tag").map(|(_, value)| value).collect();
    let log = block.get("log").unwrap_or_default().to_owned();
    let service = measured(vec![service]).into_iter().next();
    let Some((service, usage)) = service else { return };
    fact("process", service.pid.map(|pid| pid.to_string()).unwrap_or_default());
    fact("uptime", service.uptime.map(say::span).unwrap_or_default());
    fact("restarts", service.starts.saturating_sub(1).to_string());
    fact("memory", usage.map(|usage| say::size(usage.memory)).unwrap_or_default());
    let next = service.next.map(|(next, time)| say::coming(&next, time));
    fact("next", next.unwrap_or_default());
    fact("command", service.cmd.unwrap_or_default());
    fact("tags", tags.join(" "));
    fact("file", service.file.unwrap_or_default());
    fact("log", log);
}

fn deaths(out: &mut String, blocks: &[Message]) {
    let deaths = blocks.iter().filter(|it| it.get("death").is_some());
    let deaths: Vec<Death> = deaths.filter_map(|it| Death::read(it, "")).collect();
    out.push_str("<dl id=\"deaths\">");
    for death in &deaths {
        let order = if death.ordered { ", by order" } else { "" };
        let ago = escaped(&say::span(death.ago));
        let _ = write!(out, "<dt>{ago} ago<dd>{}{order}", escaped(&ended(death)));
    }
    let hidden = if deaths.is_empty() { "" } else { " hidden" };
    let _ = write!(out, "</dl><p class=\"soft\" id=\"alive\"{hidden}>It never ended.</p>");
}

fn output(out: &mut String, block: &Message, name: &str) {
    let path = format!("/api/v1/services/{}/log?format=text&amp;lines=10000", address(name));
    let lines = log::of(block, log::Wanted::Both).and_then(|it| logs::last(it, LINES, None));
    let _ = write!(
        out,
        "<h2>Log</h2><div class=\"tools\"><input type=\"search\" id=\"find\" hidden \
         placeholder=\"search all of it\" aria-label=\"Show only lines with this\" autocomplete=\"off\">\
         <button id=\"pause\" hidden>pause</button><span class=\"soft\" id=\"hits\" role=\"status\">\
         </span><span class=\"grow\"></span><a href=\"{path}\">as text</a></div>\
         <pre id=\"log\" tabindex=\"0\" aria-label=\"Log\"{}>",
        if lines.is_ok() { "" } else { " class=\"soft\" data-none" }
    );
    let text = match lines {
        Ok(lines) => String::from_utf8_lossy(&logs::joined(&lines)).into_owned(),
        Err(why) => why,
    };
    let _ = write!(out, "{}</pre>", escaped(&text));
}
