//! An attempt to use a one-time code. Known devices have no advantage, because a code has only six digits.

use countersign_protocol::ids::UserId;
use countersign_protocol::refusal::Refusal;

use crate::http::caller::Caller;
use crate::http::source::Source;
use crate::people::attempt_rules::{CODE_SOURCE_WINDOW_S, CODE_WINDOW_S, decide_code};
use crate::people::attempts_under_way::{Key, Place};
use crate::people::name_mac::NameMac;
use crate::state::State;

/// The name under which the total failures are stored.
const EVERYWHERE: &str = "";

/// An attempt in progress. It only counts once it has failed.
pub struct CodeAttempt {
    state: State,
    user: UserId,
    source: String,
    place: Place,
}

impl CodeAttempt {
    /// Takes a place. Refuses after too many wrong codes.
    pub async fn begin(state: &State, name: NameMac, user: &UserId, caller: &Caller) -> Result<Self, Refusal> {
        let source = Source::of(caller.address);
        let (place, ahead) = state.failed_attempts.under_way.enter([Key::CodeFrom(name.0, source), Key::Code(name.0)]);
        let source = source.to_string();
        let failed = |error| state.store_failed(&error);
        let from_source = state.store.find_code_failures(user, &source).await.map_err(failed)?;
        let from_everywhere = state.store.find_code_failures(user, EVERYWHERE).await.map_err(failed)?;
        decide_code([from_source, from_everywhere], ahead, state.now())?;
        Ok(Self { state: state.clone(), user: user.clone(), source, place })
    }

    /// Counts a wrong code, durably.
    pub async fn fail(self) -> Result<(), Refusal> {
        let Self { state, user, source, place } = self;
        let (store, now) = (state.store.clone(), state.now());
        let adding = async move {
            let _place = place;
            let windows = [(source.as_str(), CODE_SOURCE_WINDOW_S), (EVERYWHERE, CODE_WINDOW_S)];
            store.add_code_failure(&user, &windows, now).await
        };
        state.write(adding).await
    }
}
