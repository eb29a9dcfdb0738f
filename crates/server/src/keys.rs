//! The keys: those that sign, from the first to the last day of each, and the one that seals them and all other secrets.

pub mod error;
pub mod first_key;
pub(crate) mod mac;
pub(crate) mod new_key;
pub(crate) mod revocation;
pub mod ring;
pub(crate) mod rotation;
pub mod sealing;
pub(crate) mod sealing_files;
pub mod sealing_keys;
pub mod sealing_rotation;
