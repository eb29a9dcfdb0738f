//! Users: their passwords, known devices, and failed attempts.

pub mod attempt;
pub(crate) mod attempt_rules;
mod attempts_under_way;
pub mod code_attempt;
pub mod failures;
pub mod known_device;
pub mod name_mac;
pub mod password_queue;
pub mod password_strength;
pub mod passwords;
