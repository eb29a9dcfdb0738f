//! For people: the pages, and who is at the browser. A view struct stands beside its handler, its template in
//! `templates/`.

pub(crate) mod account;
pub(crate) mod error;
pub(crate) mod home;
pub(crate) mod layout;
pub(crate) mod login;
pub(crate) mod m2m;
pub(crate) mod protocols;
pub(crate) mod session;
pub(crate) mod settings;
