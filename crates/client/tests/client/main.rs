//! The client against servers of a few lines, and its curl lines in a real shell.

mod calls;
mod curl;
mod proxy;
mod server;
mod tls;
mod transport;
