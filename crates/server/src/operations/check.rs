//! The result of a `doctor` check.

/// The result of a `doctor` check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The name of the check.
    pub check: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// The details, and what to do.
    pub detail: String,
}

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No problem found.
    Good,
    /// It works, but needs attention.
    Warning,
    /// It does not work, or is not safe.
    Failed,
}

impl Check {
    /// No problem found.
    pub fn good(check: &'static str, detail: impl ToString) -> Self {
        Self { check, verdict: Verdict::Good, detail: detail.to_string() }
    }

    /// It works, but needs attention.
    pub fn warning(check: &'static str, detail: impl ToString) -> Self {
        Self { check, verdict: Verdict::Warning, detail: detail.to_string() }
    }

    /// It does not work, or is not safe.
    pub fn failed(check: &'static str, detail: impl ToString) -> Self {
        Self { check, verdict: Verdict::Failed, detail: detail.to_string() }
    }
}
