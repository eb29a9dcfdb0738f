//! People: their passwords, the devices that are known, and what is tried by whoever says to be one of them.

pub(crate) mod attempt;
pub(crate) mod attempt_rules;
mod attempts_under_way;
pub(crate) mod code_attempt;
pub(crate) mod guessing;
pub(crate) mod known_device;
pub(crate) mod password_queue;
pub(crate) mod password_strength;
pub mod passwords;
