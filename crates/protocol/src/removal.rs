//! Which rights were removed since a token was issued. A removal ends the tokens that use the right and were issued earlier.

use crate::api::Api;
use crate::client::Client;
use crate::grant_type::GrantType;
use crate::right::Right;
use crate::scope::Scope;

/// The rights to the API that were taken from the client, or from the API itself, after a change.
pub fn removed_since<'r>(client: &'r Client, api: &'r Api, change: i64) -> impl Iterator<Item = &'r Right> {
    let removals = client.removals.iter().chain(&api.removals);
    removals.filter(move |removal| removal.change > change && removal.api_id == api.id).map(|removal| &removal.right)
}

/// The first right that a token uses and that was removed after the change under which it was issued.
pub fn find_removed<'r>(
    client: &'r Client,
    api: &'r Api,
    issued_change: i64,
    grant: GrantType,
    scope: &Scope,
) -> Option<&'r Right> {
    removed_since(client, api, issued_change).find(|right| match right {
        Right::Entitlement => true,
        Right::Grant(removed) => *removed == grant,
        Right::Scope(removed) => scope.contains(removed),
    })
}
