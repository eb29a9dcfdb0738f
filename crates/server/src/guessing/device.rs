//! Devices: a browser is known by a cookie, a client that uses the password grant by its id, its address and the user's name.

use aws_lc_rs::hmac;
use countersign_protocol::client::ClientId;
use countersign_protocol::jose::{base64url, from_base64url};
use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::Secret;
use countersign_protocol::user::{User, UserId};
use countersign_store::{DeviceKind, NewSuccess};
use http::{HeaderMap, HeaderValue};

use crate::guessing::NameMac;
use crate::guessing::rules::KNOWN_S;
use crate::mac::mac;
use crate::pages::session::find_cookie;
use crate::source::Source;
use crate::state::State;

/// Where the cookie is sent.
const PATH: &str = "/api";
/// The most ids in a cookie, the newest first: several people may use a browser, and an answer with a new id may be lost.
const MAX_IDS: usize = 4;
/// Bytes of an id.
const ID_BYTES: usize = 32;

/// A device, as the database knows it for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// The key of its row. The cookie cannot be made from it, so reading the database is not enough.
    pub(super) mac: [u8; 32],
    /// What kind of device it is.
    pub(super) kind: DeviceKind,
}

impl Device {
    /// The browser that sent these headers: the one that succeeded last of those that its cookie names. For a name that nobody
    /// has, one that is never known.
    pub(crate) async fn find_browser(
        state: &State,
        headers: &HeaderMap,
        user: Option<&User>,
    ) -> Result<Option<Self>, Refusal> {
        let (id, epoch) = user.map_or(("", 0), |user| (user.id.as_str(), user.epoch));
        let mut found = None;
        let mut last_success_at = 0;
        for presented in list_ids(state, headers) {
            let device = browser(&state.guessing.device_key, &presented, id, epoch);
            let known = state.store.find_device(&device.mac).await.map_err(|error| state.store_failed(&error))?;
            let known_at = known.map_or(0, |known| known.last_success_at);
            if found.is_none() || known_at > last_success_at {
                (found, last_success_at) = (Some(device), known_at);
            }
        }
        Ok(found)
    }

    /// A client at an address that asks with a user's name.
    pub(crate) fn of_client(state: &State, client: &ClientId, source: Source, name: &NameMac) -> Self {
        let source = source.to_string();
        let parts = [b"client".as_slice(), client.as_str().as_bytes(), source.as_bytes(), name.as_bytes()];
        Self { mac: mac(&state.guessing.device_key, &parts), kind: DeviceKind::Client }
    }

    /// What is stored when all was right and this device is known from now on.
    pub(super) fn success(&self, state: &State, name: NameMac, user: &UserId, presented: Option<Self>) -> NewSuccess {
        let now = state.now();
        NewSuccess {
            name_mac: name.as_bytes().to_vec(),
            user_id: user.clone(),
            device_mac: self.mac.to_vec(),
            kind: self.kind,
            presented_mac: presented.map(|presented| presented.mac.to_vec()),
            known_since: now - KNOWN_S,
            now,
        }
    }
}

/// Bound to the user's epoch: a new password, for one, makes every browser unknown.
fn browser(key: &hmac::Key, cookie: &str, user_id: &str, epoch: i64) -> Device {
    let parts = [b"browser".as_slice(), cookie.as_bytes(), user_id.as_bytes(), &epoch.to_be_bytes()];
    Device { mac: mac(key, &parts), kind: DeviceKind::Browser }
}

/// The ids in a browser's cookie.
fn list_ids(state: &State, headers: &HeaderMap) -> Vec<String> {
    let is_well_formed = |id: &&str| from_base64url(id).is_some_and(|bytes| bytes.len() == ID_BYTES);
    let presented = find_cookie(headers, cookie_name(state)).unwrap_or_default();
    presented.split('.').take(MAX_IDS).filter(is_well_formed).map(str::to_owned).collect()
}

/// A new cookie for a browser that has succeeded. Its first id is new each time, so that nobody can plant one that they know.
pub(crate) struct DeviceCookie {
    ids: Vec<Secret>,
}

impl DeviceCookie {
    /// A random id, and those that the browser has.
    pub(crate) fn new(state: &State, presented: &HeaderMap) -> Self {
        let new = base64url(&state.entropy.bytes::<ID_BYTES>());
        let ids = std::iter::once(new).chain(list_ids(state, presented)).take(MAX_IDS).map(Secret::new);
        Self { ids: ids.collect() }
    }

    /// What is stored when all was right: the user is known by this cookie from now on, at this epoch.
    pub(crate) fn success(&self, state: &State, user: &User, epoch: i64, presented: Option<Device>) -> NewSuccess {
        let id = self.ids.first().map(Secret::expose).unwrap_or_default();
        let device = browser(&state.guessing.device_key, id, user.id.as_str(), epoch);
        device.success(state, state.guessing.name_mac(user.login.as_str()), &user.id, presented)
    }

    /// The value of `Set-Cookie`.
    pub(crate) fn header(&self, state: &State) -> HeaderValue {
        let ids: Vec<&str> = self.ids.iter().map(Secret::expose).collect();
        let (name, value) = (cookie_name(state), ids.join("."));
        let secure = if state.issuer.is_https() { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path={PATH}; Max-Age={KNOWN_S}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// On https no page in clear text can set a cookie of this name (RFC 6265bis, `__Secure-`).
fn cookie_name(state: &State) -> &'static str {
    if state.issuer.is_https() { "__Secure-cs_device" } else { "cs_device" }
}
