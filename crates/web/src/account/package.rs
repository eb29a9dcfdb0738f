//! The guide's authentication package: what a browser needs for the next challenge of a sign-in.

use countersign_server::state::State;
use serde_json::{Value, json};

/// What a browser needs for the next challenge (the guide's authentication package).
pub(crate) fn package(state: &State, session_id: &str, summary: &str, mechanism: &str, prompt: (&str, &str)) -> Value {
    let (chosen, select) = prompt;
    let mechanism = json!({
        "AnswerType": "Text",
        "Name": mechanism,
        "PromptMechChosen": chosen,
        "PromptSelectMech": select,
        "MechanismId": mechanism,
        "Enrolled": true,
    });
    json!({
        "SessionId": session_id,
        "TenantId": tenant_id(state),
        "Challenges": [{ "Mechanisms": [mechanism] }],
        "Summary": summary,
    })
}

/// The only tenant, this server: its host and port.
pub(crate) fn tenant_id(state: &State) -> String {
    state.issuer.as_str().split_once("://").map_or_else(String::new, |(_, authority)| authority.to_owned())
}
