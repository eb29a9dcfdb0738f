//! Devices: a browser is known by a cookie, a client that uses the password grant by its id, its address and the user's name.

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

/// Where the cookie is sent.
const PATH: &str = "/api";
/// The most ids in a cookie, the newest first: two of each person who uses the browser, and up to four people.
const MAX_IDS: usize = 8;
/// Bytes of an id.
const ID_BYTES: usize = 32;

/// A device, as the database knows it for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The key of its row. The cookie cannot be made from it, so reading the database is not enough.
    pub(super) mac: [u8; 32],
    /// What kind of device it is.
    pub(super) kind: DeviceKind,
    /// The key of its row from its next success on, if that row is from before the sealing key was replaced.
    pub(super) renewed: Option<[u8; 32]>,
}

impl Device {
    /// A client at an address that asks with a user's name.
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

    /// The device by the first of these MACs that is known, and what is known of it; by the first one if none is.
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

    /// What is stored when all was right and this device is known from now on.
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

/// A browser by the ids in its cookie, as it is for one user.
pub struct Browser {
    /// The device of the id that succeeded last; of the first one if none has. `None` without a cookie.
    pub device: Option<Device>,
    /// The id that succeeded last.
    known: Option<String>,
    /// The ids by which this user is not known.
    others: Vec<String>,
}

impl Browser {
    /// The browser that sent these headers. For a name that nobody has, one that is never known.
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

/// Bound to the user's epoch: a new password, for one, makes every browser unknown.
fn browser_mac(key: &hmac::Key, cookie: &str, user_id: &str, epoch: i64) -> [u8; 32] {
    mac(key, &[b"browser".as_slice(), cookie.as_bytes(), user_id.as_bytes(), &epoch.to_be_bytes()])
}

/// The ids in a browser's cookie.
fn list_ids(state: &State, headers: &HeaderMap) -> Vec<String> {
    let is_well_formed = |id: &&str| from_base64url(id).is_some_and(|bytes| bytes.len() == ID_BYTES);
    let presented = find_cookie(headers, cookie_name(state)).unwrap_or_default();
    presented.split('.').take(MAX_IDS).filter(is_well_formed).map(str::to_owned).collect()
}

/// A new cookie for a browser that has succeeded. Its first id is new each time, so that nobody can plant one that they know.
pub struct DeviceCookie {
    ids: Vec<Secret>,
    /// The browser as it was presented, if the user stays known by that for now.
    presented: Option<Device>,
}

impl DeviceCookie {
    /// A random id, the one before it, because the answer with this cookie may be lost, and those of other people.
    pub fn renew(state: &State, browser: Browser) -> Self {
        Self::of(state, browser.known, browser.others, browser.device)
    }

    /// A random id, and those of other people: the user's epoch is raised, and their other ids are of no use then.
    pub fn begin(state: &State, browser: Browser) -> Self {
        Self::of(state, None, browser.others, None)
    }

    fn of(state: &State, before: Option<String>, others: Vec<String>, presented: Option<Device>) -> Self {
        let new = base64url(&state.entropy.bytes::<ID_BYTES>());
        let ids = std::iter::once(new).chain(before).chain(others).take(MAX_IDS).map(Secret::new);
        Self { ids: ids.collect(), presented }
    }

    /// What is stored when all was right: the user is known by this cookie from now on, at this epoch.
    pub fn success(&self, state: &State, user: &User, epoch: i64) -> NewSuccess {
        let id = self.ids.first().map(Secret::expose).unwrap_or_default();
        let mac = browser_mac(state.sealing_keys().mac_key(MacUse::Device), id, user.id.as_str(), epoch);
        let device = Device { mac, kind: DeviceKind::Browser, renewed: None };
        device.success(state, state.name_mac(user.login.as_str()), &user.id, self.presented)
    }

    /// The value of `Set-Cookie`.
    pub fn header(&self, state: &State) -> HeaderValue {
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
