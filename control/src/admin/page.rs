//! The page: one document, its style and its script, within the program.
//!
//! It shows what `/api/v1/` says and nothing else, so it is open to whoever
//! reaches the port; what it asks for may need a token. Nothing is fetched from
//! anywhere else, and the browser is told so.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Its files: where, what, and the text.
const FILES: [(&str, &str, &str); 10] = [
    ("/ui", HTML, include_str!("page/page.html")),
    ("/ui/page.css", CSS, include_str!("page/page.css")),
    ("/ui/icon.svg", SVG, include_str!("page/icon.svg")),
    ("/ui/page.js", JS, include_str!("page/page.js")),
    ("/ui/dom.js", JS, include_str!("page/dom.js")),
    ("/ui/feed.js", JS, include_str!("page/feed.js")),
    ("/ui/targets.js", JS, include_str!("page/targets.js")),
    ("/ui/detail.js", JS, include_str!("page/detail.js")),
    ("/ui/plot.js", JS, include_str!("page/plot.js")),
    ("/ui/metrics.js", JS, include_str!("page/metrics.js")),
];

/// What the page may do: itself, and nothing of others.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'";

/// The page at `/ui`; `/` leads there.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let home = Router::new().route("/", get(async || Redirect::temporary("/ui")));
    FILES.iter().fold(home, |router, &(path, kind, text)| {
        router.route(path, get(async move || answer(kind, text)))
    })
}

fn answer(kind: &'static str, text: &'static str) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    let own = |name: &'static str| HeaderName::from_static(name);
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (own("cross-origin-resource-policy"), "same-origin"),
        (own("cross-origin-opener-policy"), "same-origin"),
        // It changes with the program.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
