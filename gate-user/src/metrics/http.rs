//! The router: which page a request asks for, and its answer.

use std::{convert::Infallible, net::IpAddr};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{
        ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue,
        REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
    http::uri::Authority,
};

use super::{text::Format, web};
use crate::report::State;

/// An answer.
pub(super) type Reply = Response<Full<Bytes>>;

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A page that takes a collection.
    Page(Page),
    /// The last hour, which is kept.
    History,
    /// Words that are always the same.
    Said(Said),
}

/// A page of what was collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The metrics.
    Metrics(Format),
    /// Whether the gate is well.
    Health,
    /// What the status page shows of now.
    Status,
}

/// Words that are always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// What pages there are.
    Index,
    /// The status page.
    Status,
    /// There is no such page.
    NotFound,
    /// Pages can only be read.
    NotAllowed,
    /// It is for another machine.
    Misdirected,
    /// A collection panicked.
    Broken,
}

/// What the status page reads.
const JSON: &str = "application/json";
/// Plain words.
const PLAIN: &str = "text/plain; charset=utf-8";

const INDEX: &str = "gate, a connection gate for ISPs\n\n\
                     /metrics  metrics: Prometheus' text format, or OpenMetrics if asked for\n\
                     /healthz  200 if all is well, else 503 and the state of the gate\n";

/// What a request asks for, where there is a status page or is none. What comes after its head is never read.
pub(super) fn route<T>(request: &Request<T>, has_page: bool) -> Route {
    let route = match request.uri().path() {
        "/" if has_page => Route::Said(Said::Status),
        "/status.json" if has_page => Route::Page(Page::Status),
        "/history.json" if has_page => Route::History,
        "/" => Route::Said(Said::Index),
        "/metrics" => Route::Page(Page::Metrics(format(request))),
        "/healthz" => Route::Page(Page::Health),
        _ => return Route::Said(Said::NotFound),
    };
    if [Method::GET, Method::HEAD].contains(request.method()) {
        route
    } else {
        Route::Said(Said::NotAllowed)
    }
}

/// Whether a request says that it is for another machine. Over loopback none is but that of a browser whose page comes from a name that somebody else has
/// made to lead here, so as to read what only this machine is to read (DNS rebinding).
pub(super) fn is_for_another<T>(request: &Request<T>) -> bool {
    let header = request.headers().get(HOST);
    let authority = match (request.uri().authority(), header) {
        (Some(authority), _) => Some(authority.clone()),
        (None, Some(header)) => match Authority::try_from(header.as_bytes()) {
            Ok(authority) => Some(authority),
            Err(_) => return true,
        },
        (None, None) => None,
    };
    authority.is_some_and(|it| {
        let host = it.host().trim_matches(['[', ']']);
        // An address is what nobody else can make lead anywhere.
        host.parse::<IpAddr>().is_err() && !host.eq_ignore_ascii_case("localhost")
    })
}

fn format<T>(request: &Request<T>) -> Format {
    let values = request.headers().get_all(ACCEPT).into_iter();
    let accepted: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    Format::accepted(&accepted.join(","))
}

pub(super) fn said(said: Said) -> Reply {
    let (status, text) = match said {
        Said::Status => return status_page(),
        Said::Index => (StatusCode::OK, INDEX),
        Said::NotFound => (
            StatusCode::NOT_FOUND,
            "there is no such page; / lists those that there are\n",
        ),
        Said::NotAllowed => (
            StatusCode::METHOD_NOT_ALLOWED,
            "pages can be read, and nothing else\n",
        ),
        Said::Misdirected => (
            StatusCode::MISDIRECTED_REQUEST,
            "over loopback, the Host of a request is localhost or an address; a proxy has to set it\n",
        ),
        Said::Broken => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "metrics could not be collected; the daemon's log says more\n",
        ),
    };
    let mut reply = reply(status, PLAIN, text);
    if said == Said::NotAllowed {
        let methods = HeaderValue::from_static("GET, HEAD");
        reply.headers_mut().insert(ALLOW, methods);
    }
    reply
}

fn status_page() -> Reply {
    let mut reply = reply(
        StatusCode::OK,
        "text/html; charset=utf-8",
        web::PAGE.as_str(),
    );
    let policy = HeaderValue::from_static(web::POLICY.as_str());
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ] {
        reply.headers_mut().insert(name, value);
    }
    reply
}

/// A document for the status page; nothing if it could not be made.
pub(super) fn document(json: Option<Bytes>) -> Reply {
    match json {
        Some(json) => reply(StatusCode::OK, JSON, json),
        None => said(Said::Broken),
    }
}

pub(super) fn metrics(text: Bytes, format: Format) -> Reply {
    reply(StatusCode::OK, format.content_type(), text)
}

/// Well is only a gate of which everything is in force.
pub(super) fn health(state: Option<State>) -> Reply {
    let status = if state == Some(State::Ok) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = state.map_or("unknown", State::name);
    reply(status, PLAIN, format!("{word}\n"))
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        reply
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    reply
}

/// A reply where nothing can fail.
pub(super) type Answer = Result<Reply, Infallible>;

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(method: Method, target: &str, has_page: bool) -> Route {
        let request = Request::builder().method(method).uri(target).body(());
        route(&request.unwrap(), has_page)
    }

    #[test]
    fn there_are_these_pages_to_be_read() {
        let metrics = Route::Page(Page::Metrics(Format::Prometheus));
        let health = Route::Page(Page::Health);
        let [index, missing, refused] =
            [Said::Index, Said::NotFound, Said::NotAllowed].map(Route::Said);
        for (method, target, expected) in [
            (Method::GET, "/", index),
            (Method::GET, "/metrics", metrics),
            (Method::GET, "/metrics?name=x", metrics),
            (Method::GET, "http://gate/metrics", metrics),
            (Method::HEAD, "/healthz", health),
            (Method::POST, "/metrics", refused),
            (Method::DELETE, "/", refused),
            (Method::GET, "/metrics/", missing),
            (Method::GET, "/../etc/passwd", missing),
            (Method::GET, "/%2e%2e/etc/passwd", missing),
            (Method::POST, "/nothing", missing),
            (Method::GET, "/status.json", missing),
            (Method::GET, "/history.json", missing),
        ] {
            assert_eq!(
                routed(method.clone(), target, false),
                expected,
                "{method} {target}"
            );
        }
        let status = Route::Page(Page::Status);
        for (method, target, expected) in [
            (Method::GET, "/", Route::Said(Said::Status)),
            (Method::HEAD, "/status.json", status),
            (Method::GET, "/history.json?a=b", Route::History),
            (Method::GET, "/metrics", metrics),
            (Method::POST, "/status.json", refused),
            (Method::GET, "/page.js", missing),
        ] {
            assert_eq!(
                routed(method.clone(), target, true),
                expected,
                "{method} {target}"
            );
        }
    }

    #[test]
    fn over_loopback_no_name_leads_here() {
        for (target, host, expected) in [
            ("/metrics", None, false),
            ("/metrics", Some("localhost:25587"), false),
            ("/metrics", Some("LOCALHOST"), false),
            ("/metrics", Some("127.0.0.1:25587"), false),
            ("/metrics", Some("[::1]:25587"), false),
            ("/metrics", Some("localhost.example.net:25587"), true),
            ("/metrics", Some("127.0.0.1.example.net"), true),
            ("/metrics", Some("rebound.example.net:25587"), true),
            ("/metrics", Some(""), true),
            ("/metrics", Some("a b"), true),
            (
                "http://localhost/metrics",
                Some("rebound.example.net"),
                false,
            ),
            (
                "http://rebound.example.net/metrics",
                Some("localhost"),
                true,
            ),
        ] {
            let mut request = Request::builder().uri(target);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let request = request.body(()).unwrap();
            assert_eq!(is_for_another(&request), expected, "{target} {host:?}");
        }
    }

    #[test]
    fn every_line_of_accept_counts() {
        let request = Request::builder()
            .uri("/metrics")
            .header(ACCEPT, "text/plain;q=0.5")
            .header(ACCEPT, "application/openmetrics-text")
            .body(());
        let expected = Route::Page(Page::Metrics(Format::OpenMetrics));
        assert_eq!(route(&request.unwrap(), true), expected);
    }

    #[test]
    fn only_a_gate_that_is_well_is_well() {
        let status = |state| health(state).status().as_u16();
        assert_eq!(status(Some(State::Ok)), 200);
        for state in State::ALL.into_iter().filter(|state| *state != State::Ok) {
            assert_eq!(status(Some(state)), 503, "{state:?}");
        }
        assert_eq!(status(None), 503);
    }
}
