//! The parameters of a token request (RFC 6749 §4.3.2, §4.4.2, §6; RFC 8707 §2).

use crate::form::Form;
use crate::refusal::Refusal;
use crate::secret::Secret;

/// A token request, before anything is known about its sender.
#[derive(Debug)]
pub struct TokenRequest {
    /// The `grant_type` as it was sent.
    pub grant_type: String,
    /// The `scope` as it was sent.
    pub scope: Option<String>,
    /// All values of `resource`.
    pub resources: Vec<String>,
    /// The `username` of a password grant.
    pub username: Option<String>,
    /// The `password` of a password grant.
    pub password: Option<Secret>,
    /// The `refresh_token` of a refresh.
    pub refresh_token: Option<Secret>,
}

impl TokenRequest {
    /// Extracts the parameters from a form. Fails without `grant_type`.
    pub fn parse(form: &Form) -> Result<Self, Refusal> {
        let text = |name: &str| form.find(name).map(str::to_owned);
        Ok(Self {
            grant_type: text("grant_type").ok_or(Refusal::MissingParameter("grant_type"))?,
            scope: text("scope"),
            resources: form.find_all("resource").map(str::to_owned).collect(),
            username: text("username"),
            password: form.find("password").map(Secret::new),
            refresh_token: form.find("refresh_token").map(Secret::new),
        })
    }
}
