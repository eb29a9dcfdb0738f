//! The password of somebody who is signed in, asked once more before something of weight.

use std::sync::Arc;

use countersign_protocol::secret::Secret;
use countersign_protocol::user::User;
use countersign_server::people::attempt::Presenter;
use countersign_server::people::known_device::Browser;
use countersign_server::people::passwords::{self, Named, Verdict};
use countersign_server::state::State;

use crate::api::access::SignedIn;
use crate::api::fault::Fault;

/// The hash of the password of who is signed in, or Err if this is not theirs; guesses count as anywhere.
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

/// The fault of a password that is not theirs.
pub(crate) fn wrong_password(reason: &'static str) -> Fault {
    Fault::wrong_answer("wrong password", reason)
}
