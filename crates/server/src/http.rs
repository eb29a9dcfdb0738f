//! HTTP: connections and their bounds, TLS, who calls through which proxies, and what is refused before any route.

mod activity;
pub mod admission;
mod admission_queue;
pub mod again;
pub mod answer;
pub mod body;
pub mod caller;
mod connections;
pub mod cookie;
pub mod descriptors;
mod drain;
pub mod front;
pub mod host;
mod http1;
mod http2;
pub mod json_body;
pub(crate) mod lifecycle;
pub mod origin;
mod refused;
mod secure;
pub mod serve;
pub mod source;
pub mod tls;
mod tls_files;
mod unread;
