//! `/login`: signs in step by step, and returns to the page that required it.

use askama::Template;
use axum::extract::RawQuery;
use axum::response::Response;
use http::StatusCode;

use crate::pages::layout::{Frame, respond, see_other};
use crate::pages::visitor::Visitor;

/// Redirects a page that requires a user to the sign-in and back. It never redirects to another URL: an open redirect
/// would lend our name to another site.
const NEXT: [(&str, &str); 4] = [
    ("/protocols", "/login?next=/protocols"),
    ("/m2m", "/login?next=/m2m"),
    ("/settings", "/login?next=/settings"),
    ("/account", "/login?next=/account"),
];

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    frame: Frame,
    next: &'static str,
}

/// `GET /login`
pub(crate) async fn login(RawQuery(query): RawQuery, visitor: Visitor) -> Response {
    let next = find_next(query.as_deref()).unwrap_or("/protocols");
    if visitor.person.is_some() {
        return see_other(next);
    }
    respond(StatusCode::OK, &Login { frame: Frame::new("Login", "/login", None), next })
}

/// Redirects to the sign-in, and afterwards back to `path`, one of the four pages that require a user.
pub(crate) fn to_sign_in(path: &str) -> Response {
    see_other(NEXT.into_iter().find(|(page, _)| *page == path).map_or("/login", |(_, sign_in)| sign_in))
}

/// Returns the page that `next` names, if it is one of ours.
fn find_next(query: Option<&str>) -> Option<&'static str> {
    let value = query?.split('&').find_map(|pair| pair.strip_prefix("next="))?;
    let named = |page: &str| value == page || value.replace("%2F", "/").replace("%2f", "/") == page;
    NEXT.into_iter().map(|(page, _)| page).find(|page| named(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_only_leads_to_our_own_pages() {
        assert_eq!(find_next(Some("next=/m2m")), Some("/m2m"));
        assert_eq!(find_next(Some("a=b&next=%2Fsettings")), Some("/settings"));
        assert_eq!(find_next(Some("next=%2faccount")), Some("/account"));
        for bad in ["", "next=", "next=/", "next=//evil.example", "next=https://evil.example/m2m", "next=/m2m/..//x"] {
            assert_eq!(find_next(Some(bad)), None, "{bad}");
        }
        for bad in ["next=/%2Fm2m", "next=/m2m%00", "next=/m2m?x", "next=/login", "next=x&next=/m2m", "next=%5Cm2m"] {
            assert_eq!(find_next(Some(bad)), None, "{bad}");
        }
        assert_eq!(find_next(None), None);
    }

    #[test]
    fn visitors_who_must_sign_in_return_afterwards() {
        assert_eq!(to_sign_in("/m2m").headers()["location"], "/login?next=/m2m");
        assert_eq!(to_sign_in("/m2m").status(), StatusCode::SEE_OTHER);
    }
}
