//! From an address to whoever answers it. Everything that is asked goes through
//! here, so that nobody forgets who may ask.

use super::auth::{self, Peer};
use super::http::{Request, Response};
use super::live::Live;
use super::{Web, api, figures, page, rpc};

/// What is answered.
#[derive(Debug)]
pub enum Answer {
    /// All at once.
    Whole(Response),
    /// For as long as somebody listens.
    Endless(Live),
}

impl From<Response> for Answer {
    fn from(response: Response) -> Answer {
        Answer::Whole(response)
    }
}

/// Answers a request.
pub fn answer(web: &Web, request: &Request, peer: Peer) -> Answer {
    if let Err(response) = auth::check_host(web, request, peer) {
        return response.into();
    }
    // Whoever balances loads has no password, and learns nothing but this.
    match request.path.as_str() {
        "/healthz" | "/ok.html" => return only_read(request, || Response::text(200, "ok")).into(),
        "/readyz" => return only_read(request, || api::ready(web)).into(),
        _ => {}
    }
    let role = match auth::role(web, request, peer) {
        Ok(role) => role,
        Err(response) => return response.into(),
    };
    let parts: Vec<&str> = request.path.split('/').skip(1).collect();
    let is_rpc = parts == ["RPC2"];
    let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
    if let ["api", "v1", rest @ ..] = parts.as_slice() {
        let allowed = api::methods(rest);
        let is_wrong = |methods: &&str| !methods.split(", ").any(|method| method == request.method);
        if let Some(allowed) = allowed.filter(is_wrong) {
            return api::wrong_method(allowed).into();
        }
    }
    if !is_read && request.method != "POST" {
        return Response::text(405, "only GET, HEAD and POST are understood")
            .with("Allow", "GET, HEAD, POST")
            .into();
    }
    if !is_read && !is_rpc {
        if let Err(response) = auth::check_change(web, request, role) {
            return response.into();
        }
    }
    match (is_read, parts.as_slice()) {
        (false, ["RPC2"]) => rpc::answer(web, request, role).into(),
        (_, ["api", "v1", rest @ ..]) => api::answer(web, request, rest),
        (true, ["logtail", name]) => rpc::tail(web, name, false),
        (true, ["logtail", name, stream]) => rpc::tail(web, name, *stream == "stderr"),
        (true, ["mainlogtail"]) => Answer::Endless(Live::report()),
        (true, ["metrics"]) => figures::answer(web, request).into(),
        (_, rest) => page::answer(web, request, role, rest),
    }
}

fn only_read(request: &Request, answer: impl Fn() -> Response) -> Response {
    match request.method.as_str() {
        "GET" | "HEAD" => answer(),
        _ => Response::text(405, "there is nothing to change here").with("Allow", "GET, HEAD"),
    }
}
