//! Who is at the browser: an anonymous session, or a person's, each known by one cookie.

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

/// The cookie that script may read, and must send back as a header.
pub(crate) const XSRF_COOKIE: &str = "XSRF-TOKEN";
const ANONYMOUS: &str = "a";
const SIGNED_IN: &str = "s";

/// What a browser holds: the value of its session cookie, `KIND.RANDOM.EXPIRY.MAC`. The XSRF pair belongs to it.
///
/// The MAC keeps strangers from the database: an anonymous session is not stored at all, and what is none of ours is not
/// looked up.
#[derive(Clone, Debug)]
pub(crate) struct SessionKey(Secret);

impl SessionKey {
    /// A new anonymous one.
    pub(crate) fn new_anonymous(state: &State) -> Self {
        Self::new(state, ANONYMOUS, ANONYMOUS_SESSION_S)
    }

    fn new(state: &State, kind: &str, lifetime_s: i64) -> Self {
        let expires_at = state.now() + lifetime_s;
        let said = format!("{kind}.{}.{expires_at}", base64url(&state.entropy.bytes::<32>()));
        let tag = hmac::sign(state.sealing_keys().mac_key(MacUse::Session), said.as_bytes());
        Self(Secret::new(format!("{said}.{}", base64url(tag.as_ref()))))
    }

    /// A presented one, if it is ours and has not ended by age.
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

    /// The value of the XSRF pair (OWASP: signed double submit): an HMAC of the session, so that no other's will do.
    pub(crate) fn pair(&self, state: &State) -> Secret {
        self.pair_by(state.sealing_keys().mac_key(MacUse::Pair))
    }

    /// True for the value of the pair, also for one from before the sealing key was replaced.
    pub(crate) fn is_pair(&self, state: &State, presented: &str) -> bool {
        let (keys, presented) = (state.sealing_keys(), SecretHash::of(presented));
        keys.mac_keys(MacUse::Pair).any(|key| presented.matches(&self.pair_by(key).hash()))
    }

    fn pair_by(&self, key: &hmac::Key) -> Secret {
        Secret::new(base64url(hmac::sign(key, self.0.expose().as_bytes()).as_ref()))
    }

    /// Its hash, which is what is stored.
    pub(crate) fn hash(&self) -> SecretHash {
        self.0.hash()
    }
}

/// A person's session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The name by which its owner sees and ends it.
    pub(crate) id: String,
    /// What the browser holds.
    pub(crate) key: SessionKey,
    /// Whose it is.
    pub(crate) user: Arc<User>,
}

/// Who is at the browser.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// Nobody whom we know.
    Unknown,
    /// Somebody who has not signed in.
    Anonymous(SessionKey),
    /// A person.
    SignedIn(Session),
}

impl Standing {
    /// What the browser holds, if it is anything live.
    pub(crate) fn key(&self) -> Option<&SessionKey> {
        match self {
            Self::Unknown => None,
            Self::Anonymous(key) => Some(key),
            Self::SignedIn(session) => Some(&session.key),
        }
    }
}

/// Finds out who is at the browser that sent these headers.
pub(crate) async fn identify(state: &State, headers: &HeaderMap) -> Result<Standing, Refusal> {
    state.registry.check_fresh()?;
    let presented = find_cookie(headers, session_cookie(state));
    let Some(key) = presented.and_then(|presented| SessionKey::find(state, presented)) else {
        return Ok(Standing::Unknown);
    };
    if key.is_anonymous() {
        return Ok(Standing::Anonymous(key));
    }
    Ok(find_live(state, key).await?.map_or(Standing::Unknown, Standing::SignedIn))
}

/// The session of this key, if it lives: not too old, not idle too long, and its user active and of the same epoch.
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

/// A new session of a user, not stored yet, and what the browser shall hold.
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

/// What a browser says it is, for people to read: a byte that is not visible ASCII is shown as `?`, and hides no other.
fn show_user_agent(value: &HeaderValue) -> String {
    let shown = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
    value.as_bytes().iter().take(MAX_USER_AGENT_CHARS).map(shown).collect()
}

/// Ends a session and revokes the tokens asked through it, durably and on this node at once.
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

/// The two `Set-Cookie` values of a session: what the browser holds, and its pair.
pub(crate) fn cookies(state: &State, key: &SessionKey) -> [HeaderValue; 2] {
    let max_age_s = if key.is_anonymous() { ANONYMOUS_SESSION_S } else { SESSION_LIFETIME_S };
    let secure = if state.issuer.is_https() { "; Secure" } else { "" };
    let cookie = |name: &str, value: &str, more: &str| {
        let text = format!("{name}={value}; Path=/; Max-Age={max_age_s}; SameSite=Lax{more}{secure}");
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    };
    [cookie(session_cookie(state), key.0.expose(), "; HttpOnly"), cookie(XSRF_COOKIE, key.pair(state).expose(), "")]
}

/// On https no neighbour can set a cookie of this name (RFC 6265bis, `__Host-`).
fn session_cookie(state: &State) -> &'static str {
    if state.issuer.is_https() { "__Host-cs_session" } else { "cs_session" }
}

/// A person who has signed in, as pages show them.
pub(crate) struct Person {
    /// The name they sign in with.
    pub(crate) login: String,
    /// Whether they may change settings.
    pub(crate) is_administrator: bool,
    /// Whether signing in takes more than a password.
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
