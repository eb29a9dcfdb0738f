//! The pages. A view struct is next to its handler, and its template is in `templates/`.

pub(crate) mod account;
pub(crate) mod error;
pub(crate) mod home;
pub(crate) mod layout;
pub(crate) mod login;
pub(crate) mod m2m;
pub(crate) mod not_found;
pub(crate) mod protocols;
pub(crate) mod settings;
mod visitor;
