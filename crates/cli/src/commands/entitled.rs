//! Which clients a change to an API takes something away from.

use crate::commands::administration::Session;
use crate::output::Failure;
use crate::remote::Call;

/// How many clients are named.
const NAMED: usize = 5;

/// Returns the IDs of the clients whose entitlement to an API contains this `scope` or `grant`.
pub(crate) async fn list_entitled(
    session: &mut Session<'_>,
    api: &str,
    (member, value): (&'static str, &str),
) -> Result<Vec<String>, Failure> {
    let call = Call::get(&["clients"]).with_query("api", api).with_query(member, value);
    let clients = session.remote.list(call, None).await?;
    Ok(clients.iter().filter_map(|client| client["client_id"].as_str()).map(str::to_owned).collect())
}

/// Returns a sentence that says how many clients are affected, and names the first ones.
pub(crate) fn who_loses(mut clients: Vec<String>) -> String {
    clients.sort_unstable();
    clients.dedup();
    let more = clients.len().saturating_sub(NAMED);
    let named = clients.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match (clients.len(), more) {
        (0, _) => "No client is affected.".to_owned(),
        (1, _) => format!("Affects 1 client: {named}."),
        (count, 0) => format!("Affects {count} clients: {named}."),
        (count, more) => format!("Affects {count} clients: {named} and {more} more."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_five_clients_are_named() {
        let told = |ids: &[&str]| who_loses(ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(told(&[]), "No client is affected.");
        assert_eq!(told(&["a", "a"]), "Affects 1 client: a.");
        assert_eq!(told(&["b", "a"]), "Affects 2 clients: a, b.");
        assert_eq!(told(&["a", "b", "c", "d", "e", "f"]), "Affects 6 clients: a, b, c, d, e and 1 more.");
    }
}
