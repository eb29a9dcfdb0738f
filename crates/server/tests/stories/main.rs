//! Stories through the front door: an actor, an action, what came back. Each on a fresh server whose clock stands still.

mod client_credentials;
