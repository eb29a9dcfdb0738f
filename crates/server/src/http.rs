//! HTTP: connections and their bounds, TLS, who calls through which proxies, and what is refused before any route.

mod activity;
pub(crate) mod admission;
mod admission_queue;
pub(crate) mod again;
pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod caller;
mod connections;
pub mod descriptors;
mod drain;
pub(crate) mod front;
pub(crate) mod host;
mod http1;
mod http2;
pub(crate) mod json_body;
pub(crate) mod lifecycle;
pub(crate) mod origin;
mod refused;
mod secure;
pub mod serve;
pub(crate) mod source;
pub mod tls;
mod tls_files;
mod unread;
