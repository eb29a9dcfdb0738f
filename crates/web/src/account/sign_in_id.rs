//! The state of a sign-in, sealed into its ID. Starting a sign-in therefore costs no write, and an attacker cannot
//! crowd out other users' sign-ins.

use std::sync::Arc;

use countersign_protocol::ids::UserId;
use countersign_protocol::jose::{base64url, from_base64url};
use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::Secret;
use countersign_protocol::user::User;
use countersign_server::limits::SIGN_IN_S;
use countersign_server::people::name_mac::NameMac;
use countersign_server::state::State;
use countersign_store::SignInKey;

use crate::session::SessionKey;

/// The label for sealing IDs.
const LABEL: &str = "sign-in";
/// The length of a user ID in bytes. Unknown names are padded to it, so that the length does not reveal whether a name
/// exists.
const USER_ID_BYTES: usize = 40;

/// A sign-in in progress.
pub(crate) struct SignIn {
    /// The key of its row in the database, which stores its progress.
    pub(crate) key: SignInKey,
    /// The MAC of the entered name.
    pub(crate) name: NameMac,
    /// The user with this name, if there is one.
    pub(crate) user_id: Option<UserId>,
}

/// Returns the ID of a new sign-in of this session, for a name and the user who has it, if there is one.
pub(crate) fn begin(
    state: &State,
    session: &SessionKey,
    name: NameMac,
    user: Option<&Arc<User>>,
) -> Result<Secret, Refusal> {
    let mut user_id = [0; USER_ID_BYTES];
    let bytes = user.map_or(&[][..], |user| user.id.as_str().as_bytes());
    let too_long = || Refusal::Internal("the user ID is too long".to_owned());
    user_id.get_mut(..bytes.len()).ok_or_else(too_long)?.copy_from_slice(bytes);
    let (expires_at, epoch) = (state.now() + SIGN_IN_S, user.map_or(0, |user| user.epoch));
    let parts = [&expires_at.to_be_bytes()[..], &epoch.to_be_bytes(), name.as_bytes(), &user_id];
    let sealed = state.sealing_keys().key().seal(LABEL, &bound_to(session), &parts.concat(), state.entropy.bytes());
    let sealed = sealed.map_err(|error| Refusal::Internal(error.to_string()))?;
    Ok(Secret::new(base64url(&sealed)))
}

/// Opens an ID, if this session started the sign-in, it has not expired, and the user's password and rights have not
/// changed since.
pub(crate) fn find(state: &State, session: &SessionKey, id: &Secret) -> Option<SignIn> {
    let opened = state.sealing_keys().open(LABEL, &bound_to(session), &from_base64url(id.expose())?).ok()?;
    let (expires_at, rest) = opened.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (name, user_id) = rest.split_at_checked(32)?;
    let key = SignInKey { hash: id.hash(), expires_at: i64::from_be_bytes(*expires_at) };
    let user_id = std::str::from_utf8(user_id).ok()?.trim_end_matches('\0');
    let user_id = if user_id.is_empty() { None } else { Some(UserId::parse(user_id)?) };
    let registry = state.registry.current();
    let is_same =
        |id: &UserId| registry.find_user(id.as_str()).is_some_and(|user| user.epoch == i64::from_be_bytes(*epoch));
    let is_live = state.now() < key.expires_at && user_id.as_ref().is_none_or(is_same);
    // For a user, with the current sealing key: failures are counted under it.
    let login = user_id.as_ref().and_then(|id| registry.find_user(id.as_str())).map(|user| user.login.as_str());
    let name = login.map_or_else(|| NameMac::from_bytes(name), |login| Some(state.name_mac(login)))?;
    is_live.then_some(SignIn { key, name, user_id })
}

fn bound_to(session: &SessionKey) -> String {
    base64url(session.hash().as_bytes())
}
