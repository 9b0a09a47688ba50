//! Who asks, and whether they may: by the socket they came through, by password
//! or by token. A page of somebody else must never make a browser change
//! anything here, whatever the browser knows (CSRF), nor reach us under a name of
//! its own (DNS rebinding).

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Web;
use super::http::{Request, Response};
use super::users::{Denial, Role, is_same};

/// The cookie that goes with the token of a form.
pub const COOKIE: &str = "going";

/// From where somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Through a file, which not everybody can open.
    File,
    /// From this machine.
    Here,
    /// From anywhere.
    Afar,
}

/// What whoever asks may do.
///
/// # Errors
/// The answer to somebody who may not even look.
pub fn role(web: &Web, request: &Request, peer: Peer) -> Result<Role, Response> {
    let proof = request.header("authorization").filter(|proof| !is_nobody(proof));
    let role = match proof {
        Some(proof) => prove(web, proof).map_err(|denial| match denial {
            Denial::Wrong => unknown("wrong name or password"),
            Denial::Busy => Response::text(429, "too many ask to come in").with("Retry-After", "1"),
        })?,
        None if peer == Peer::File => Role::Full,
        // Everybody on this machine may ask going itself as much as that.
        None if peer == Peer::Here && web.users.is_empty() => Role::Read,
        None => return Err(unknown("who are you?")),
    };
    Ok(if web.is_read_only { Role::Read } else { role })
}

/// Whether this is an empty name with an empty password, which programs written for
/// supervisor send when they have none.
fn is_nobody(proof: &str) -> bool {
    let is_empty = |(name, password): (String, String)| name.is_empty() && password.is_empty();
    let proof = proof.split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("basic"));
    proof.and_then(|(_, proof)| pair(proof)).is_some_and(is_empty)
}

fn unknown(why: &str) -> Response {
    Response::text(401, why).with("WWW-Authenticate", "Basic realm=\"going\", charset=\"UTF-8\"")
}

fn prove(web: &Web, proof: &str) -> Result<Role, Denial> {
    let (kind, proof) = proof.split_once(' ').ok_or(Denial::Wrong)?;
    if kind.eq_ignore_ascii_case("bearer") {
        return web.users.token(proof.trim()).ok_or(Denial::Wrong);
    }
    if !kind.eq_ignore_ascii_case("basic") {
        return Err(Denial::Wrong);
    }
    let (name, password) = pair(proof).ok_or(Denial::Wrong)?;
    web.users.password(&name, &password)
}

/// Whether this says who somebody is in a way that we understand.
pub fn is_readable(proof: &str) -> bool {
    proof
        .split_once(' ')
        .is_some_and(|(kind, proof)| kind.eq_ignore_ascii_case("basic") && pair(proof).is_some())
}

/// The name and password of basic authentication (RFC 7617).
fn pair(proof: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(proof.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Whether a browser was told the truth about who we are: an address is what it
/// is, and a name must be one of ours.
///
/// # Errors
/// The answer.
pub fn check_host(web: &Web, request: &Request, peer: Peer) -> Result<(), Response> {
    if peer == Peer::File {
        return Ok(());
    }
    let host = request.header("host").unwrap_or_default();
    let name = name_of(host);
    let is_ours = name == "localhost"
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || web.hosts.contains(&name)
        // An older protocol than hosts are; no browser speaks it.
        || host.is_empty() && !request.is_modern;
    let why = "we are not called that; going-web --host NAME adds a name";
    if is_ours { Ok(()) } else { Err(Response::text(421, why)) }
}

/// A host without its port.
fn name_of(host: &str) -> String {
    let port = host.rfind(':').filter(|&at| !host.get(at..).is_some_and(|it| it.contains(']')));
    host.get(..port.unwrap_or(host.len())).unwrap_or_default().to_ascii_lowercase()
}

/// Whether a change was asked for by whom it seems to be, and may be.
///
/// # Errors
/// The answer.
pub fn check_change(web: &Web, request: &Request, role: Role) -> Result<(), Response> {
    if role != Role::Full {
        return Err(Response::text(403, "you may look, but not change anything"));
    }
    if let Some(origin) = request.header("origin") {
        let host = request.header("host").unwrap_or_default();
        let from = origin.split_once("://").map_or("", |(_, host)| host);
        if !from.eq_ignore_ascii_case(host) {
            return Err(Response::text(403, "a page of another site asks for this"));
        }
    }
    if request.header("sec-fetch-site").is_some_and(|it| it != "same-origin" && it != "none") {
        return Err(Response::text(403, "a page of another site asks for this"));
    }
    // No browser sends a token of its own accord.
    let bearer = request.header("authorization").and_then(|it| it.get(..7));
    if bearer.is_some_and(|it| it.eq_ignore_ascii_case("bearer ")) {
        return Ok(());
    }
    // Nor these types for a page of another site, without asking us first.
    if request.is_of_type("application/json") || request.is_of_type("text/xml") {
        return Ok(());
    }
    if !request.is_of_type("application/x-www-form-urlencoded") {
        let why = "a change needs `Content-Type: application/json`, with or without a body";
        return Err(Response::text(415, why));
    }
    let form = request.form().unwrap_or_default();
    let token = form.iter().find(|(name, _)| name == "token").map_or("", |(_, value)| value);
    let cookie = request.cookie(COOKIE).unwrap_or_default();
    let is_ours = |it: &str| is_same(it.as_bytes(), web.token.as_bytes());
    if is_ours(token) && is_ours(cookie) {
        return Ok(());
    }
    Err(Response::text(403, "this form is too old, or not ours; load the page again"))
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
