//! What is said over the control socket, and by services of themselves, as values and as bytes. Pure: it opens
//! no socket and knows no clock, so that daemon, client and tests share it.
//!
//! A [`Message`] is lines of `key=value` that end with an empty one; a
//! [`Request`] is a message that asks for something. Which keys answer it is
//! told in going-protocol(7).

pub mod message;
pub mod notice;
pub mod pattern;
pub mod request;
pub mod words;

pub use message::{Decoder, Malformed, Message, end, put, put_number};
pub use request::{Code, Command, Refusal, Request, VERSION};
pub use words::{State, want};
