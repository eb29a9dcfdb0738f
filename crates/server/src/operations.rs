//! What operators do with a data directory and a database: start, check, back up, restore, migrate.

pub mod backup;
pub mod check;
pub mod data_directory;
pub mod demo_file;
pub mod doctor;
mod doctor_directory;
mod doctor_writes;
pub mod exposure;
pub(crate) mod identity;
pub(crate) mod nodes;
pub(crate) mod probes;
pub mod restore;
pub mod restore_error;
mod restore_places;
pub mod start;
pub mod transfer;
