//! Known devices. A browser is recognized by a cookie. A client that uses the password grant is recognized by its ID,
//! its address and the user name.

use aws_lc_rs::hmac;
use countersign_protocol::ids::{ClientId, UserId};
use countersign_protocol::jose::{base64url, from_base64url};
use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::Secret;
use countersign_protocol::user::User;
use countersign_store::{DeviceKind, KnownDevice, NewSuccess};
use http::{HeaderMap, HeaderValue};

use crate::http::cookie::find_cookie;
use crate::http::source::Source;
use crate::keys::mac::mac;
use crate::keys::sealing_keys::MacUse;
use crate::people::attempt_rules::KNOWN_S;
use crate::people::name_mac::NameMac;
use crate::state::State;

/// The path of the cookie.
const PATH: &str = "/api";
/// The maximum number of IDs in a cookie, newest first: two for each of up to four people who share the browser.
const MAX_IDS: usize = 8;
/// The length of an ID in bytes.
const ID_BYTES: usize = 32;

/// A device, as the database knows it for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The key of its row. The cookie cannot be derived from it, so reading the database is not enough to forge one.
    pub(super) mac: [u8; 32],
    /// The kind of device.
    pub(super) kind: DeviceKind,
    /// The key of its row after its next success, if the current row is from before a rotation of the sealing key.
    pub(super) renewed: Option<[u8; 32]>,
}

impl Device {
    /// Returns a client at an address that uses a user's name.
    pub(crate) async fn of_client(
        state: &State,
        client: &ClientId,
        source: Source,
        login: &str,
    ) -> Result<Self, Refusal> {
        let (keys, source) = (state.sealing_keys(), source.to_string());
        let named = keys.mac_keys(MacUse::Device).zip(keys.mac_keys(MacUse::Name));
        let macs = named.map(|(key, names)| {
            let name = NameMac::by(names, login);
            mac(key, &[b"client".as_slice(), client.as_str().as_bytes(), source.as_bytes(), name.as_bytes()])
        });
        Ok(Self::find(state, DeviceKind::Client, macs.collect()).await?.0)
    }

    /// Returns the device with the first of these MACs that is known, and its state. Returns the first one if none is
    /// known.
    async fn find(
        state: &State,
        kind: DeviceKind,
        macs: Vec<[u8; 32]>,
    ) -> Result<(Self, Option<KnownDevice>), Refusal> {
        let by_present_key = macs.first().copied().unwrap_or_default();
        for mac in macs {
            let known = state.store.find_device(&mac).await.map_err(|error| state.store_failed(&error))?;
            if known.is_some() {
                let renewed = (mac != by_present_key).then_some(by_present_key);
                return Ok((Self { mac, kind, renewed }, known));
            }
        }
        Ok((Self { mac: by_present_key, kind, renewed: None }, None))
    }

    /// Returns what to store after a success, which makes the device known.
    pub fn success(&self, state: &State, name: NameMac, user: &UserId, presented: Option<Self>) -> NewSuccess {
        let now = state.now();
        NewSuccess {
            name_mac: name.as_bytes().to_vec(),
            user_id: user.clone(),
            device_mac: self.renewed.unwrap_or(self.mac).to_vec(),
            kind: self.kind,
            presented_mac: presented.map(|presented| presented.mac.to_vec()),
            known_since: now - KNOWN_S,
            now,
        }
    }
}

/// A browser, identified for one user by the IDs in its cookie.
pub struct Browser {
    /// The device of the most recently used ID, or of the first ID if none is known. `None` without a cookie.
    pub device: Option<Device>,
    /// The most recently used ID.
    known: Option<String>,
    /// The IDs that this user is not known by.
    others: Vec<String>,
}

impl Browser {
    /// Returns the browser that sent these headers. For a name that does not belong to a user, it is never known.
    pub async fn find(state: &State, headers: &HeaderMap, user: Option<&User>) -> Result<Self, Refusal> {
        let (user_id, epoch) = user.map_or(("", 0), |user| (user.id.as_str(), user.epoch));
        let mut browser = Self { device: None, known: None, others: Vec::new() };
        let mut last_success_at = 0;
        for id in list_ids(state, headers) {
            let keys = state.sealing_keys();
            let macs = keys.mac_keys(MacUse::Device).map(|key| browser_mac(key, &id, user_id, epoch));
            let (device, known) = Device::find(state, DeviceKind::Browser, macs.collect()).await?;
            match known {
                Some(known) if browser.known.is_none() || known.last_success_at > last_success_at => {
                    last_success_at = known.last_success_at;
                    (browser.device, browser.known) = (Some(device), Some(id));
                }
                Some(_) => {}
                None => {
                    browser.device = browser.device.or(Some(device));
                    browser.others.push(id);
                }
            }
        }
        Ok(browser)
    }
}

/// Binds the device to the user's epoch. For example, a new password makes every browser unknown.
fn browser_mac(key: &hmac::Key, cookie: &str, user_id: &str, epoch: i64) -> [u8; 32] {
    mac(key, &[b"browser".as_slice(), cookie.as_bytes(), user_id.as_bytes(), &epoch.to_be_bytes()])
}

/// Returns the IDs in a browser's cookie.
fn list_ids(state: &State, headers: &HeaderMap) -> Vec<String> {
    let is_well_formed = |id: &&str| from_base64url(id).is_some_and(|bytes| bytes.len() == ID_BYTES);
    let presented = find_cookie(headers, cookie_name(state)).unwrap_or_default();
    presented.split('.').take(MAX_IDS).filter(is_well_formed).map(str::to_owned).collect()
}

/// Creates a new cookie after a success. Its first ID is always new, so that an attacker cannot plant one.
pub struct DeviceCookie {
    ids: Vec<Secret>,
    /// Keeps the browser known by its current ID for now.
    presented: Option<Device>,
}

impl DeviceCookie {
    /// Keeps the previous ID, because the response with the new cookie may be lost, and the IDs of other users.
    pub fn renew(state: &State, browser: Browser) -> Self {
        Self::of(state, browser.known, browser.others, browser.device)
    }

    /// Keeps only the IDs of other users. The user's epoch is raised, which invalidates their other IDs.
    pub fn begin(state: &State, browser: Browser) -> Self {
        Self::of(state, None, browser.others, None)
    }

    fn of(state: &State, before: Option<String>, others: Vec<String>, presented: Option<Device>) -> Self {
        let new = base64url(&state.entropy.bytes::<ID_BYTES>());
        let ids = std::iter::once(new).chain(before).chain(others).take(MAX_IDS).map(Secret::new);
        Self { ids: ids.collect(), presented }
    }

    /// Returns what to store after a success: the user is known by this cookie from now on, at this epoch.
    pub fn success(&self, state: &State, user: &User, epoch: i64) -> NewSuccess {
        let id = self.ids.first().map(Secret::expose).unwrap_or_default();
        let mac = browser_mac(state.sealing_keys().mac_key(MacUse::Device), id, user.id.as_str(), epoch);
        let device = Device { mac, kind: DeviceKind::Browser, renewed: None };
        device.success(state, state.name_mac(user.login.as_str()), &user.id, self.presented)
    }

    /// Returns the value of `Set-Cookie`.
    pub fn header(&self, state: &State) -> HeaderValue {
        let ids: Vec<&str> = self.ids.iter().map(Secret::expose).collect();
        let (name, value) = (cookie_name(state), ids.join("."));
        let secure = if state.issuer.is_https() { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path={PATH}; Max-Age={KNOWN_S}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// With https, an unencrypted page cannot set a cookie with this prefix (RFC 6265bis, `__Secure-`).
fn cookie_name(state: &State) -> &'static str {
    if state.issuer.is_https() { "__Secure-cs_device" } else { "cs_device" }
}
