//! The pages. A view struct is in its handler's file, its template in `templates/`.

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
