//! The stylesheet, the scripts and the icon, compiled in. Their URLs change with their content.

use std::sync::LazyLock;

use aws_lc_rs::digest::{Context, SHA256};
use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use countersign_server::http::answer;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

/// The number of hex digits in a URL. Two builds within one year do not collide.
const HASH_DIGITS: usize = 16;
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file: its name, media type and content.
type File = (&'static str, &'static str, &'static str);

/// All files.
const FILES: [File; 19] = [
    ("style.css", CSS, include_str!("../static/style.css")),
    ("icon.svg", SVG, include_str!("../static/icon.svg")),
    ("account.js", SCRIPT, include_str!("../static/account.js")),
    ("api.js", SCRIPT, include_str!("../static/api.js")),
    ("diagram.js", SCRIPT, include_str!("../static/diagram.js")),
    ("dom.js", SCRIPT, include_str!("../static/dom.js")),
    ("explain.js", SCRIPT, include_str!("../static/explain.js")),
    ("flow.js", SCRIPT, include_str!("../static/flow.js")),
    ("jwt.js", SCRIPT, include_str!("../static/jwt.js")),
    ("life.js", SCRIPT, include_str!("../static/life.js")),
    ("login.js", SCRIPT, include_str!("../static/login.js")),
    ("m2m.js", SCRIPT, include_str!("../static/m2m.js")),
    ("preview.js", SCRIPT, include_str!("../static/preview.js")),
    ("problem.js", SCRIPT, include_str!("../static/problem.js")),
    ("resource.js", SCRIPT, include_str!("../static/resource.js")),
    ("result.js", SCRIPT, include_str!("../static/result.js")),
    ("settings.js", SCRIPT, include_str!("../static/settings.js")),
    ("time.js", SCRIPT, include_str!("../static/time.js")),
    ("shell.js", SCRIPT, include_str!("../static/shell.js")),
];

/// The first digits of the SHA-256 of all files. They share one hash, so that a module can import another as `./name`.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut context = Context::new(&SHA256);
    for (name, _, text) in FILES {
        // Includes the lengths, so that moving bytes between files changes the hash.
        context.update(format!("{name} {}\n", text.len()).as_bytes());
        context.update(text.as_bytes());
    }
    let digits: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..HASH_DIGITS].to_owned()
});

/// Returns the URL of a file.
pub(crate) fn address(name: &str) -> String {
    format!("/static/{}/{name}", *HASH)
}

/// `GET /static/{hash}/{name}`: returns a file of this build, cacheable for a year. Refuses the hash of another build.
/// Otherwise, a page of one node could be combined with another node's files.
pub(crate) async fn static_file(Path((hash, name)): Path<(String, String)>, request: Request) -> Response {
    let file = FILES.iter().find(|(known, ..)| *known == name).filter(|_| hash == *HASH);
    let Some((_, content_type, text)) = file else {
        return answer::not_found(request).await;
    };
    let headers = [
        (CONTENT_TYPE, *content_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (StatusCode::OK, headers, *text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(hash: &str, name: &str) -> Response {
        static_file(Path((hash.to_owned(), name.to_owned())), Request::default()).await
    }

    #[tokio::test]
    async fn a_file_is_cached_for_a_year_under_its_hash() {
        let response = get(&HASH, "style.css").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(response.headers()["content-type"], "text/css; charset=utf-8");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(get(&HASH, "m2m.js").await.headers()["content-type"], "text/javascript; charset=utf-8");
        assert_eq!(address("m2m.js"), format!("/static/{}/m2m.js", *HASH));
        assert!(HASH.len() == HASH_DIGITS && HASH.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[tokio::test]
    async fn an_unknown_hash_or_name_is_not_found() {
        for (hash, name) in
            [(HASH.as_str(), "other.js"), ("0123456789abcdef", "style.css"), ("", ""), (&HASH, "../lib.rs")]
        {
            let response = get(hash, name).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{hash}/{name}");
            assert_eq!(response.headers()["cache-control"], "no-store");
        }
    }

    #[test]
    fn imported_scripts_are_served() {
        for (name, _, text) in FILES {
            for line in text.lines().filter(|line| line.contains(" from \"")) {
                let imported = line.split(" from \"./").nth(1).and_then(|rest| rest.split('"').next());
                let known = imported.is_some_and(|imported| FILES.iter().any(|(known, ..)| *known == imported));
                assert!(known, "{name}: {line}");
            }
        }
    }

    #[test]
    fn no_script_inserts_html_or_uses_storage() {
        for (name, content_type, text) in FILES {
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"] {
                assert!(content_type != SCRIPT || !text.contains(word), "{name}: {word}");
            }
            assert!(!text.contains("sessionStorage") && !text.contains("indexedDB"), "{name}");
        }
    }
}
