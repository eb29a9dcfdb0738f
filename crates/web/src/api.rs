//! What all calls under `/api` share: one envelope, who may call, the XSRF pair, strict bodies.

pub(crate) mod access;
pub(crate) mod envelope;
pub(crate) mod fault;
pub(crate) mod json_body;
pub(crate) mod openapi;
pub(crate) mod timing;
mod xsrf;
