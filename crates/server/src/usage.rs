//! Usage and refusals: counted in memory, stored periodically, and shown.

pub(crate) mod expiry;
pub mod exposition;
pub(crate) mod metrics;
pub(crate) mod overload_log;
pub(crate) mod refusals;
pub(crate) mod token_limits;
pub(crate) mod uses;
