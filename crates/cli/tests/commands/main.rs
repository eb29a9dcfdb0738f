//! The binary as its users meet it: what it prints, what it leaves on disk, how it ends.

mod config;
mod crash;
mod demo;
mod logs;
mod process;
mod shutdown;
mod start;
