//! Changes to a list, such as an API's grants: `--add-…`, `--remove-…` and `--set-…`.

use serde_json::{Value, json};

use crate::commands::administration::Session;
use crate::output::Failure;
use crate::remote::Call;

/// How many times to retry after another change to the same object.
pub(crate) const TRIES: usize = 3;

/// What to add to a list and remove from it, or what to replace it with.
#[derive(Debug)]
pub(crate) struct ListChange {
    /// The member of the object.
    pub(crate) member: &'static str,
    /// `--add-…` and `--set-…`, to name the flag in errors.
    pub(crate) flags: [&'static str; 2],
    pub(crate) add: Vec<String>,
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<String>,
}

impl ListChange {
    /// True if nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.set.is_empty()
    }

    fn flag(&self) -> &'static str {
        let [add, set] = self.flags;
        if self.set.is_empty() { add } else { set }
    }

    /// Returns the new list.
    fn apply(&self, known: &Value) -> Vec<String> {
        let known = || known.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let mut all: Vec<String> = if self.set.is_empty() { known().collect() } else { Vec::new() };
        for name in self.set.iter().chain(&self.add) {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        all.retain(|name| !self.remove.contains(name));
        all
    }

    /// Returns what the new list lacks.
    fn lost(known: &Value, new: &[String]) -> Vec<String> {
        let known = known.as_array().into_iter().flatten().filter_map(Value::as_str);
        known.filter(|name| !new.iter().any(|one| one == name)).map(str::to_owned).collect()
    }
}

/// Reads an object, changes its list and other fields, and writes it back. Starts over if it has changed in the meantime.
/// Before something is removed, asks the question that `effect` returns.
pub(crate) async fn update(
    session: &mut Session<'_>,
    path: &[&str],
    fields: Value,
    change: &ListChange,
    effect: impl AsyncFn(&mut Session<'_>, &[String]) -> Result<String, Failure>,
) -> Result<Value, Failure> {
    if change.is_empty() {
        return Ok(session.remote.ask(Call::patch(path, fields)).await?.body);
    }
    let mut tried = 0;
    loop {
        tried += 1;
        let known = session.remote.ask(Call::get(path)).await?;
        let new = change.apply(&known.body[change.member]);
        let lost = ListChange::lost(&known.body[change.member], &new);
        if !lost.is_empty() {
            let question = effect(session, &lost).await?;
            session.confirm(&question)?;
        }
        let mut changed = fields.clone();
        changed[change.member] = json!(new);
        let call = Call::patch(path, changed).naming(change.member, change.flag()).if_still(known.etag);
        match session.remote.ask(call).await {
            Err(Failure::ChangedMeanwhile(_)) if tried < TRIES => {}
            Err(failure) => return Err(failure),
            Ok(answer) => return Ok(answer.body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(add: &[&str], remove: &[&str], set: &[&str]) -> ListChange {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        ListChange {
            member: "grants",
            flags: ["--add-grant", "--set-grant"],
            add: texts(add),
            remove: texts(remove),
            set: texts(set),
        }
    }

    #[test]
    fn a_list_keeps_its_order_and_says_what_it_lost() {
        let known = json!(["a", "b", "c"]);
        for (change, new, lost) in [
            (change(&["d", "a"], &[], &[]), &["a", "b", "c", "d"][..], &[][..]),
            (change(&[], &["b", "x"], &[]), &["a", "c"], &["b"]),
            (change(&["d"], &["a"], &[]), &["b", "c", "d"], &["a"]),
            (change(&[], &[], &["c", "d"]), &["c", "d"], &["a", "b"]),
        ] {
            let applied = change.apply(&known);
            assert_eq!(applied, new, "{change:?}");
            assert_eq!(ListChange::lost(&known, &applied), lost, "{change:?}");
        }
        assert!(change(&[], &[], &[]).is_empty());
    }
}
