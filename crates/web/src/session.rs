//! Browser sessions, anonymous or signed in, each identified by one cookie.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use countersign_protocol::UnixTime;
use countersign_protocol::jose::{base64url, from_base64url};
use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::{Secret, SecretHash};
use countersign_protocol::status::Status;
use countersign_protocol::user::{Role, User};
use countersign_server::http::cookie::find_cookie;
use countersign_server::keys::sealing_keys::MacUse;
use countersign_server::limits::{
    ANONYMOUS_SESSION_S, MAX_USER_AGENT_CHARS, SESSION_IDLE_S, SESSION_LIFETIME_S, SESSION_TOUCH_S,
};
use countersign_server::state::State;
use countersign_store::NewSession;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};

/// The cookie that scripts can read, and must send back as a header.
pub(crate) const XSRF_COOKIE: &str = "XSRF-TOKEN";
const ANONYMOUS: &str = "a";
const SIGNED_IN: &str = "s";

/// The value of a session cookie, `KIND.RANDOM.EXPIRY.MAC`. The XSRF pair belongs to it.
///
/// The MAC protects the database: anonymous sessions are not stored at all, and cookies that this server did not issue
/// are not looked up.
#[derive(Clone, Debug)]
pub(crate) struct SessionKey(Secret);

impl SessionKey {
    /// Creates the key of a new anonymous session.
    pub(crate) fn new_anonymous(state: &State) -> Self {
        Self::new(state, ANONYMOUS, ANONYMOUS_SESSION_S)
    }

    fn new(state: &State, kind: &str, lifetime_s: i64) -> Self {
        let expires_at = state.now() + lifetime_s;
        let said = format!("{kind}.{}.{expires_at}", base64url(&state.entropy.bytes::<32>()));
        let tag = hmac::sign(state.sealing_keys().mac_key(MacUse::Session), said.as_bytes());
        Self(Secret::new(format!("{said}.{}", base64url(tag.as_ref()))))
    }

    /// Parses a cookie, if this server issued it and it has not expired.
    fn find(state: &State, presented: &str) -> Option<Self> {
        let (said, tag) = presented.rsplit_once('.')?;
        let (keys, tag) = (state.sealing_keys(), from_base64url(tag)?);
        keys.mac_keys(MacUse::Session).find(|key| hmac::verify(key, said.as_bytes(), &tag).is_ok())?;
        let expires_at: UnixTime = said.rsplit_once('.')?.1.parse().ok()?;
        (state.now() < expires_at).then(|| Self(Secret::new(presented)))
    }

    fn is_anonymous(&self) -> bool {
        self.0.expose().starts_with(ANONYMOUS)
    }

    /// Returns the value of the XSRF pair (OWASP: signed double submit), an HMAC of the session. Values of other
    /// sessions do not match.
    pub(crate) fn pair(&self, state: &State) -> Secret {
        self.pair_by(state.sealing_keys().mac_key(MacUse::Pair))
    }

    /// True for the value of the pair, also from before a rotation of the sealing key.
    pub(crate) fn is_pair(&self, state: &State, presented: &str) -> bool {
        let (keys, presented) = (state.sealing_keys(), SecretHash::of(presented));
        keys.mac_keys(MacUse::Pair).any(|key| presented.matches(&self.pair_by(key).hash()))
    }

    fn pair_by(&self, key: &hmac::Key) -> Secret {
        Secret::new(base64url(hmac::sign(key, self.0.expose().as_bytes()).as_ref()))
    }

    /// Returns the hash, which is stored.
    pub(crate) fn hash(&self) -> SecretHash {
        self.0.hash()
    }
}

/// A signed-in user's session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The ID that the user sees, and can end the session with.
    pub(crate) id: String,
    /// The session key from the cookie.
    pub(crate) key: SessionKey,
    /// The user.
    pub(crate) user: Arc<User>,
}

/// The state of the browser's session.
#[derive(Clone, Debug)]
pub(crate) enum SessionState {
    /// Unknown: there is no valid session.
    Unknown,
    /// An anonymous session.
    Anonymous(SessionKey),
    /// A signed-in user.
    SignedIn(Session),
}

impl SessionState {
    /// Returns the session key, if there is a valid session.
    pub(crate) fn key(&self) -> Option<&SessionKey> {
        match self {
            Self::Unknown => None,
            Self::Anonymous(key) => Some(key),
            Self::SignedIn(session) => Some(&session.key),
        }
    }
}

/// Finds the session of the browser that sent these headers.
pub(crate) async fn identify(state: &State, headers: &HeaderMap) -> Result<SessionState, Refusal> {
    state.registry.check_fresh()?;
    let presented = find_cookie(headers, session_cookie(state));
    let Some(key) = presented.and_then(|presented| SessionKey::find(state, presented)) else {
        return Ok(SessionState::Unknown);
    };
    if key.is_anonymous() {
        return Ok(SessionState::Anonymous(key));
    }
    Ok(find_live(state, key).await?.map_or(SessionState::Unknown, SessionState::SignedIn))
}

/// Returns the session with this key, if it is active: not too old, not idle for too long, and its user enabled and at
/// the same epoch.
async fn find_live(state: &State, key: SessionKey) -> Result<Option<Session>, Refusal> {
    let stored = state.store.find_session(&key.hash()).await.map_err(|error| state.store_failed(&error))?;
    let Some(stored) = stored else {
        return Ok(None);
    };
    let now = state.now();
    let registry = state.registry.current().clone();
    let user = registry.find_user(stored.user_id.as_str());
    let user = user.filter(|user| user.status == Status::Active && user.epoch <= stored.user_epoch);
    let lives = now < stored.expires_at && now < stored.last_seen_at + SESSION_IDLE_S;
    let Some(user) = user.filter(|_| lives) else {
        return Ok(None);
    };
    if now >= stored.last_seen_at + SESSION_TOUCH_S {
        let touched = state.store.touch_session(&stored.id, now, now - SESSION_TOUCH_S + 1).await;
        touched.map_err(|error| state.store_failed(&error))?;
    }
    Ok(Some(Session { id: stored.id, key, user: user.clone() }))
}

/// Creates a user's session, which is not stored yet, and its cookie.
pub(crate) fn new_session(
    state: &State,
    user: &User,
    address: IpAddr,
    headers: &HeaderMap,
) -> (NewSession, SessionKey) {
    let key = SessionKey::new(state, SIGNED_IN, SESSION_LIFETIME_S);
    let now = state.now();
    let session = NewSession {
        id: format!("ses_{}", base64url(&state.entropy.bytes::<12>())),
        key_hash: key.hash(),
        user_id: user.id.clone(),
        user_epoch: user.epoch,
        created_at: now,
        expires_at: now + SESSION_LIFETIME_S,
        address: address.to_string(),
        user_agent: headers.get(USER_AGENT).map(show_user_agent).unwrap_or_default(),
    };
    (session, key)
}

/// Returns the browser's User-Agent for display. Shows bytes that are not visible ASCII as `?`.
fn show_user_agent(value: &HeaderValue) -> String {
    let shown = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
    value.as_bytes().iter().take(MAX_USER_AGENT_CHARS).map(shown).collect()
}

/// Ends a session and revokes the tokens requested through it, durably, and immediately on this node.
pub(crate) async fn end(state: &State, id: &str) -> Result<(), Refusal> {
    let now = state.now();
    let lifetime_s = state.registry.current().longest_lifetime_s();
    let (store, id) = (state.store.clone(), id.to_owned());
    let ended = state.write(async move { store.end_session(&id, now, now + lifetime_s).await }).await?;
    for (revoked, until) in ended {
        state.registry.insert_revoked(revoked, until);
    }
    Ok(())
}

/// Returns the two `Set-Cookie` values of a session: its cookie and its XSRF pair.
pub(crate) fn cookies(state: &State, key: &SessionKey) -> [HeaderValue; 2] {
    let max_age_s = if key.is_anonymous() { ANONYMOUS_SESSION_S } else { SESSION_LIFETIME_S };
    let secure = if state.issuer.is_https() { "; Secure" } else { "" };
    let cookie = |name: &str, value: &str, more: &str| {
        let text = format!("{name}={value}; Path=/; Max-Age={max_age_s}; SameSite=Lax{more}{secure}");
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    };
    [cookie(session_cookie(state), key.0.expose(), "; HttpOnly"), cookie(XSRF_COOKIE, key.pair(state).expose(), "")]
}

/// With https, a neighboring domain cannot set a cookie with this prefix (RFC 6265bis, `__Host-`).
fn session_cookie(state: &State) -> &'static str {
    if state.issuer.is_https() { "__Host-cs_session" } else { "cs_session" }
}

/// A signed-in user, as shown on pages.
pub(crate) struct Person {
    /// The login name.
    pub(crate) login: String,
    /// Whether the user may change the settings.
    pub(crate) is_administrator: bool,
    /// Whether the user has a second factor.
    pub(crate) has_second_factor: bool,
}

impl From<Session> for Person {
    fn from(session: Session) -> Self {
        Self {
            login: session.user.login.to_string(),
            is_administrator: session.user.roles.contains(&Role::Administrator),
            has_second_factor: session.user.has_second_factor,
        }
    }
}
