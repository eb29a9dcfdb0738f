//! The client against servers of a few lines, and its curl lines in a real shell.

mod calls;
mod curl;
mod server;
mod transport;
