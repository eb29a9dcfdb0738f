//! Checks a signed-in user's password again before a sensitive change.

use std::sync::Arc;

use countersign_protocol::secret::Secret;
use countersign_protocol::user::User;
use countersign_server::people::attempt::Presenter;
use countersign_server::people::known_device::Browser;
use countersign_server::people::passwords::{self, Named, Verdict};
use countersign_server::state::State;

use crate::api::access::SignedIn;
use crate::api::fault::Fault;

/// Returns the hash of the signed-in user's password, or a fault if the password is wrong. Failures count like those of
/// a sign-in.
pub(crate) async fn check_own_password(
    state: &State,
    signed_in: &SignedIn,
    password: &Secret,
) -> Result<Secret, Fault> {
    let SignedIn { session, caller, headers } = signed_in;
    let named = Named::find(state, session.user.login.as_str()).await?;
    let device = Browser::find(state, headers, Some(&session.user)).await?.device;
    let hash = named.password_hash();
    let judge = move |_: Option<Arc<User>>, is_right: bool| {
        hash.filter(|_| is_right).map(Verdict::Pending).ok_or(wrong_password("wrong password"))
    };
    passwords::check(state, named, password, Presenter { caller, device }, judge).await
}

/// Returns the fault for a wrong password.
pub(crate) fn wrong_password(reason: &'static str) -> Fault {
    Fault::wrong_answer("wrong password", reason)
}
