//! The client with minimal servers, and its curl lines in a real shell.

mod calls;
mod curl;
mod proxy;
mod server;
mod tls;
mod transport;
