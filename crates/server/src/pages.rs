//! For people: the pages, and who is at the browser.

pub(crate) mod error;
pub(crate) mod session;
