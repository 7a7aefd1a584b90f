//! Sockets: accepting them, reading and writing them, and closing them.

mod bridge;
pub mod callout;
mod connection;
pub mod cookies;
mod deadlines;
mod door;
mod events;
mod exchange;
mod files;
mod keepalive;
pub mod listener;
mod longpoll;
pub mod outqueue;
mod page;
mod pages;
pub mod preamble;
pub mod premises;
mod pressure;
pub mod probe;
mod protocol;
pub mod reactor;
mod slice;
mod stream;
mod tasks;
mod throttle;
pub mod tls;
mod writing;
