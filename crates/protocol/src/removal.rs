//! Which rights were removed after a token was issued. Removing a right revokes the earlier tokens that use it.

use crate::api::Api;
use crate::client::Client;
use crate::grant_type::GrantType;
use crate::right::Right;
use crate::scope::Scope;

/// Returns the rights to the API that were removed from the client, or from the API itself, after a change.
pub fn removed_since<'r>(client: &'r Client, api: &'r Api, change: i64) -> impl Iterator<Item = &'r Right> {
    let removals = client.removals.iter().chain(&api.removals);
    removals.filter(move |removal| removal.change > change && removal.api_id == api.id).map(|removal| &removal.right)
}

/// Returns the first right that a token uses and that was removed after it was issued.
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
