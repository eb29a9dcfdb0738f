//! Keys: the signing keys through their whole life, and the sealing key that encrypts them and all other secrets.

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
