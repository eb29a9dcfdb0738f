//! What all calls under `/api` share: the envelope, access checks, the XSRF pair, and strict parsing of bodies.

pub(crate) mod access;
pub(crate) mod envelope;
pub(crate) mod fault;
pub(crate) mod json_body;
pub(crate) mod openapi;
pub(crate) mod timing;
mod xsrf;
