//! An update or deletion of one object, with the same steps for all kinds. The caller's `If-Match` is compared with the object
//! as shown. The audit record contains it before and after, and the response shows it.

use std::ops::{Deref, DerefMut};

use http::HeaderMap;
use serde_json::Value;

use crate::admin::answer::{Answer, check_match, done, show};
use crate::admin::audit::Entry;
use crate::admin::change::Changing;
use crate::admin::change_error::ChangeError;

/// A change of an object that the caller has seen. Dropping it rolls the change back.
pub(crate) struct Edit<'s> {
    changing: Changing<'s>,
    before: Option<Value>,
}

impl<'s> Edit<'s> {
    /// Begins with the object as currently shown, or `None` if it does not exist. Fails if the caller has seen another version.
    pub(crate) fn begin(
        changing: Changing<'s>,
        headers: &HeaderMap,
        before: impl Into<Option<Value>>,
    ) -> Result<Self, ChangeError> {
        let before = before.into();
        check_match(headers, before.as_ref().unwrap_or(&Value::Null))?;
        Ok(Self { changing, before })
    }

    /// Audits and commits. The response shows the updated object.
    pub(crate) async fn update(self, action: &'static str, target: String, after: Value) -> Answer {
        let Self { changing, before } = self;
        changing.finish(Entry { action, target, before, after: Some(after.clone()) }).await?;
        Ok(show(&after))
    }

    /// Audits and commits a deletion.
    pub(crate) async fn delete(self, action: &'static str, target: String) -> Answer {
        let Self { changing, before } = self;
        changing.finish(Entry { action, target, before, after: None }).await?;
        Ok(done())
    }
}

impl<'s> Deref for Edit<'s> {
    type Target = Changing<'s>;

    fn deref(&self) -> &Changing<'s> {
        &self.changing
    }
}

impl DerefMut for Edit<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.changing
    }
}
