//! What came of one check of `doctor`.

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// Why, and what to do.
    pub detail: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work, or not safely.
    Failed,
}

impl Check {
    /// As it should be.
    pub fn good(check: &'static str, detail: impl ToString) -> Self {
        Self { check, verdict: Verdict::Good, detail: detail.to_string() }
    }

    /// Somebody should look at it.
    pub fn warning(check: &'static str, detail: impl ToString) -> Self {
        Self { check, verdict: Verdict::Warning, detail: detail.to_string() }
    }

    /// It does not work, or not safely.
    pub fn failed(check: &'static str, detail: impl ToString) -> Self {
        Self { check, verdict: Verdict::Failed, detail: detail.to_string() }
    }
}
