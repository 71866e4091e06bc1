//! The page at `/`: a few files in the program, which hold nothing of the relay. What they show they ask the API for, as everybody does.
//!
//! Their sources are in `web`; what is built of them is committed, so that cargo needs nothing else.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use sha2::{Digest, Sha256};

/// Path, kind and content of each.
const FILES: [(&str, &str, &[u8]); 7] = [
    ("/", "text/html; charset=utf-8", include_bytes!("web/dist/index.html")),
    ("/page.js", "text/javascript; charset=utf-8", include_bytes!("web/dist/page.js")),
    ("/page.css", "text/css; charset=utf-8", include_bytes!("web/dist/page.css")),
    ("/uplot.js", "text/javascript; charset=utf-8", include_bytes!("web/dist/uplot.js")),
    ("/mpegts.js", "text/javascript; charset=utf-8", include_bytes!("web/dist/mpegts.js")),
    ("/icon.svg", "image/svg+xml", include_bytes!("web/dist/icon.svg")),
    ("/licences.md", "text/plain; charset=utf-8", include_bytes!("web/dist/licences.md")),
];

/// What the page may do: load its own files, talk to its own relay, play what came from there (`blob:`), and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What makes each file's version known, in the order of `FILES`.
static TAGS: LazyLock<[String; FILES.len()]> = LazyLock::new(|| {
    FILES.map(|(_, _, content)| {
        let digest = Sha256::digest(content);
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hex}\"")
    })
});

/// Whether a path is a file of the page, which whoever comes may have.
pub(super) fn has(path: &str) -> bool {
    FILES.iter().any(|(known, ..)| *known == path)
}

/// A route for each file.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().enumerate().fold(Router::new(), |router, (number, (path, ..))| {
        router.route(path, get(move |headers: HeaderMap| async move { file(number, &headers) }))
    })
}

fn file(number: usize, asked: &HeaderMap) -> Response {
    let ((_, kind, content), tag) = (FILES[number], &*TAGS[number]);
    let known = asked.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(Bytes::from_static(content)).into_response(),
    };
    let headers: [(HeaderName, &'static str); 6] = [
        (CONTENT_TYPE, kind),
        // Asked for anew each time, and sent when it has changed: another version of the relay has another page.
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().insert(ETAG, HeaderValue::from_str(tag).expect("hexadecimal digits"));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_that_is_built_is_served_and_no_other() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/web/dist");
        let built = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut built: Vec<String> = built.map(|name| format!("/{name}").replace("/index.html", "/")).collect();
        let mut served = FILES.map(|(path, ..)| path.to_owned());
        built.sort();
        served.sort();
        assert_eq!(built, served);
    }

    #[test]
    fn what_a_browser_has_already_is_not_sent_again() {
        let sent = file(0, &HeaderMap::new());
        assert_eq!(
            (sent.status(), &sent.headers()[CONTENT_TYPE]),
            (StatusCode::OK, &HeaderValue::from_static(FILES[0].1))
        );
        let again = file(0, &HeaderMap::from_iter([(IF_NONE_MATCH, sent.headers()[ETAG].clone())]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let another = file(1, &HeaderMap::from_iter([(IF_NONE_MATCH, sent.headers()[ETAG].clone())]));
        assert_eq!(another.status(), StatusCode::OK);
        assert_eq!(again.headers()[CONTENT_SECURITY_POLICY], POLICY);
    }
}
