//! Devices: a browser is known by a cookie, a client that uses the password grant by its id, its address and the user's name.

use aws_lc_rs::hmac;
use countersign_protocol::client::ClientId;
use countersign_protocol::jose::{base64url, from_base64url};
use countersign_protocol::secret::Secret;
use countersign_protocol::user::{User, UserId};
use countersign_store::{DeviceKind, NewSuccess};
use http::{HeaderMap, HeaderValue};

use crate::guessing::rules::KNOWN_S;
use crate::guessing::{NameMac, mac};
use crate::pages::session::find_cookie;
use crate::source::Source;
use crate::state::State;

/// Where the cookie is sent.
const PATH: &str = "/api";

/// A device, as the database knows it for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Under which it is stored. Who reads the database cannot make the cookie of it.
    pub(super) mac: [u8; 32],
    /// Of which kind it is.
    pub(super) kind: DeviceKind,
}

impl Device {
    /// The browser that sent these headers, if it has a cookie. For a name that nobody has, one that is never known.
    pub(crate) fn of_browser(state: &State, headers: &HeaderMap, user: Option<&User>) -> Option<Self> {
        let presented = find_cookie(headers, cookie_name(state))?;
        let is_ours = from_base64url(presented).is_some_and(|bytes| bytes.len() == 32);
        let (id, epoch) = user.map_or(("", 0), |user| (user.id.as_str(), user.epoch));
        is_ours.then(|| browser(&state.guessing.device_key, presented, id, epoch))
    }

    /// A client at an address that asks with a user's name.
    pub(crate) fn of_client(state: &State, client: &ClientId, source: Source, name: &NameMac) -> Self {
        let source = source.to_string();
        let parts = [b"client".as_slice(), client.as_str().as_bytes(), source.as_bytes(), name.as_bytes()];
        Self { mac: mac(&state.guessing.device_key, &parts), kind: DeviceKind::Client }
    }
}

impl Device {
    /// What is stored when all was right, in place of the device that was presented.
    pub(crate) fn success(&self, state: &State, name: NameMac, user: &UserId, presented: Option<Self>) -> NewSuccess {
        NewSuccess {
            name_mac: name.as_bytes().to_vec(),
            user_id: user.clone(),
            device_mac: self.mac.to_vec(),
            kind: self.kind,
            replaces: presented.map(|presented| presented.mac.to_vec()),
            now: state.now(),
        }
    }
}

/// Bound to the user's epoch: a new password, for one, makes every browser unknown.
fn browser(key: &hmac::Key, cookie: &str, user_id: &str, epoch: i64) -> Device {
    let parts = [b"browser".as_slice(), cookie.as_bytes(), user_id.as_bytes(), &epoch.to_be_bytes()];
    Device { mac: mac(key, &parts), kind: DeviceKind::Browser }
}

/// A new cookie for a browser that has succeeded. It is new each time, so that nobody can plant one that they know.
pub(crate) struct DeviceCookie(Secret);

impl DeviceCookie {
    /// A random one.
    pub(crate) fn new(state: &State) -> Self {
        Self(Secret::new(base64url(&state.entropy.bytes::<32>())))
    }

    /// What is stored when all was right: the user is known by this cookie from now on, at this epoch, and no longer by the
    /// one that the browser presented.
    pub(crate) fn success(&self, state: &State, user: &User, epoch: i64, presented: &HeaderMap) -> NewSuccess {
        let device = browser(&state.guessing.device_key, self.0.expose(), user.id.as_str(), epoch);
        let name = state.guessing.name_mac(user.login.as_str());
        device.success(state, name, &user.id, Device::of_browser(state, presented, Some(user)))
    }

    /// The value of `Set-Cookie`.
    pub(crate) fn header(&self, state: &State) -> HeaderValue {
        let (name, value) = (cookie_name(state), self.0.expose());
        let secure = if state.issuer.is_https() { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path={PATH}; Max-Age={KNOWN_S}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// On https no page in clear text can set a cookie of this name (RFC 6265bis, `__Secure-`).
fn cookie_name(state: &State) -> &'static str {
    if state.issuer.is_https() { "__Secure-cs_device" } else { "cs_device" }
}
