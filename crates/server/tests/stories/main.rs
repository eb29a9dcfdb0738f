//! Stories through the front door: an actor, an action, what came back. Each on a fresh server whose clock stands still.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod account;
mod admin_access;
mod admin_apis;
mod admin_audit;
mod admin_bounds;
mod admin_clients;
mod admin_contract;
mod admin_keys;
mod admin_people;
mod admin_rights;
mod admin_understand;
mod apis;
mod call_resource;
mod certificate;
mod client_credentials;
mod connections;
mod envelope;
mod failed_secrets;
mod guard;
mod guessing;
mod guide;
mod headers;
mod hosts;
mod introspection;
mod keys;
mod metadata;
mod metrics;
mod nodes;
mod overload;
mod pages;
mod password;
mod password_queue;
mod people;
mod playground_settings;
mod playground_tokens;
mod refresh;
mod refresh_retry;
mod refusals;
mod revocation;
mod rights;
mod rotation;
mod sign_in;
mod transport;
mod xsrf;
