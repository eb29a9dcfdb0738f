//! The binary from its users' point of view: output, files, exit codes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue has failed")]
#![allow(clippy::print_stdout, reason = "what a test prints is shown when it fails")]

mod administration;
mod backups;
mod config;
mod connections;
mod crash;
mod damaged;
mod demo;
mod doctor;
mod drill;
mod env_files;
mod exits;
mod full_disk;
mod hostile;
mod http2;
mod identity;
mod issued;
mod lists;
mod logs;
mod memory;
mod migrate;
mod modes;
mod nodes;
mod operations;
mod pgbouncer;
mod process;
mod proxies;
mod published;
mod reload;
mod rolling;
mod sealing_key;
mod shutdown;
mod skew;
mod start;
mod team;
mod tls;
mod understand;
#[cfg(not(feature = "web"))]
mod without_web;
