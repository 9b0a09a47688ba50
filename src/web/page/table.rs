//! The page of all services.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Page, address, ask, dot, escaped, forms, happenings, page, story};
use crate::client::reply::Status;
use crate::client::say;
use crate::client::usage::{Usage, measure};
use crate::protocol::{Command, Message};
use crate::web::Web;
use crate::web::http::{Request, Response};
use crate::web::users::Role;

/// A service and its tags.
type Tagged = (Status, Option<Usage>, Vec<String>);

/// The page.
pub fn show(web: &Web, request: &Request, role: Role) -> Response {
    let (rows, lost) = match ask(web, Command::Status, Vec::new()) {
        Ok(reply) => (reply.blocks.iter().filter_map(tagged).collect(), None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let is_lost = lost.is_some();
    let asked = request.asks("note").map(|note| (note.to_owned(), false));
    let note = lost.map(|why| (why, true)).or(asked).unwrap_or_default();
    let wanted = request.asks("show").unwrap_or_default();
    let mut main = String::new();
    tools(&mut main, &rows, role, wanted);
    main.push_str(
        "<table><thead><tr><th>service<th>state<th class=\"number\">uptime\
         <th class=\"number\">restarts<th class=\"number\">memory<th class=\"number\">CPU<th>why\
         <th><span class=\"unseen\">orders</span></thead><tbody id=\"services\">",
    );
    let shown: Vec<&Tagged> = rows.iter().filter(|row| is_like(row, wanted)).collect();
    for (service, usage, _) in &shown {
        row(&mut main, service, *usage, role, &web.token);
    }
    let hidden = if shown.is_empty() { "" } else { " hidden" };
    let empty = match (is_lost, rows.is_empty()) {
        (true, _) => "Going does not answer. This page shows its services as soon as it does.",
        (false, true) => {
            "No services yet. Drop a file into going's directory, and it appears here."
        }
        (false, false) => "No service is like that.",
    };
    let _ = write!(main, "</tbody></table><p class=\"empty\" id=\"empty\"{hidden}>{empty}</p>");
    happenings(&mut main, web, None);
    let status = if is_lost { 503 } else { 200 };
    // Who has no script reads it again from time to time.
    let head = "<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>";
    let about = String::new();
    page(web, status, &Page { title: "going", head, about, role, note, main })
}

fn tagged(block: &Message) -> Option<Tagged> {
    let (service, usage) = measure(Status::read(block)?);
    let tags = block.pairs().filter(|(key, _)| *key == "tag").map(|(_, tag)| tag.to_owned());
    Some((service, usage, tags.collect()))
}

/// Whether a service is to be shown: by a part of its name, its state or a tag;
/// table.js has the same.
fn is_like((service, _, tags): &Tagged, wanted: &str) -> bool {
    let wanted = wanted.trim().to_lowercase();
    wanted.is_empty()
        || service.name.to_lowercase().contains(&wanted)
        || service.state == wanted
        || tags.iter().any(|tag| format!("@{}", tag.to_lowercase()) == wanted)
}

/// What can be searched for, by states and tags, and done to all at once. What
/// needs a script is hidden without one.
fn tools(out: &mut String, rows: &[Tagged], role: Role, wanted: &str) {
    let _ = write!(
        out,
        "<div class=\"tools\"><form id=\"search\" role=\"search\" action=\"/\"><input type=\"search\" \
         id=\"filter\" name=\"show\" value=\"{}\" placeholder=\"name, state or @tag\" \
         aria-label=\"Show only services like this\" autocomplete=\"off\"></form><span id=\"kinds\">",
        escaped(wanted)
    );
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for (service, _, tags) in rows {
        let tags = tags.iter().map(|tag| format!("@{tag}"));
        for kind in tags.chain([service.state.clone()]) {
            *kinds.entry(kind).or_default() += 1;
        }
    }
    // Tags come before letters; states are what is looked for first.
    let (tags, states): (Vec<_>, Vec<_>) = kinds.iter().partition(|it| it.0.starts_with('@'));
    for (kind, count) in states.into_iter().chain(tags) {
        let (kind, at) = (escaped(kind), address(kind));
        let _ = write!(
            out,
            "<a class=\"kind {kind}\" data-kind=\"{kind}\" href=\"/?show={at}\">{kind} <b>{count}</b></a>"
        );
    }
    out.push_str("</span><span class=\"grow\"></span>");
    if role == Role::Full {
        for word in ["start", "stop", "restart"] {
            let _ = write!(out, "<button data-all=\"{word}\" hidden>{word} all</button>");
        }
    }
    out.push_str("</div>");
}

fn row(out: &mut String, service: &Status, usage: Option<Usage>, role: Role, token: &str) {
    let uptime = service.uptime.map(say::span).unwrap_or_default();
    let memory = usage.map(|usage| say::size(usage.memory)).unwrap_or_default();
    let restarts = service.starts.saturating_sub(1);
    let _ = write!(
        out,
        "<tr><td><a href=\"/services/{}\">{}</a><td>{}<td class=\"number\">{uptime}\
         <td class=\"number restarts\">{restarts}<td class=\"number\">{memory}<td class=\"number\">\
         <td class=\"wide\">{}<td class=\"acts\">",
        address(&service.name),
        escaped(&service.name),
        dot(&service.state),
        escaped(&story(service)),
    );
    if role == Role::Full {
        forms(out, service, token);
    }
}
