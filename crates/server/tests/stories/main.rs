//! Stories through the front door: an actor, an action, what came back. Each on a fresh server whose clock stands still.

mod apis;
mod client_credentials;
mod guard;
mod guessing;
mod introspection;
mod keys;
mod metadata;
mod nodes;
mod password;
mod refresh;
mod refusals;
mod revocation;
mod transport;
