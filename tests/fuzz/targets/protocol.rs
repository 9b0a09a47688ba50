//! What a client may send, and what a name may be: the reader must end, keep no
//! more than one message, cut nothing differently because it came in pieces, and
//! read again what the writer writes.

#![no_main]

use going::protocol::message::MESSAGE_MAX;
use going::protocol::{Decoder, Malformed, Message, Request, pattern};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first byte says how the rest is cut.
    let (&seed, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let whole = decode(bytes, 0);
    assert_eq!(decode(bytes, seed), whole);
    for message in whole.0 {
        written(&message);
        request(&message);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        spoken(text);
        names(text);
    }
});

/// All messages, and what was wrong after them; `seed` 0 is in one piece.
fn decode(mut bytes: &[u8], seed: u8) -> (Vec<Message>, Option<Malformed>) {
    let (mut decoder, mut messages) = (Decoder::new(), Vec::new());
    let mut dice = u32::from(seed);
    while !bytes.is_empty() {
        dice = dice.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let length = if seed == 0 { bytes.len() } else { 1 + (dice >> 16) as usize % 97 };
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        decoder.feed(piece);
        loop {
            match decoder.message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(why) => {
                    decoder.feed(b"\n\ngoing=1\n\n");
                    assert_eq!(decoder.message(), Err(why), "it recovered by guessing");
                    return (messages, Some(why));
                }
            }
        }
        bytes = rest;
    }
    (messages, None)
}

/// A message has one form, and that form means the same message.
fn written(message: &Message) {
    let mut out = Vec::new();
    message.write(&mut out);
    assert!(!message.is_empty() && out.len() <= MESSAGE_MAX);
    assert_eq!(Message::parse(&out).as_ref(), Ok(message));
    assert_eq!(decode(&out, 7), (vec![message.clone()], None));
}

fn request(message: &Message) {
    match Request::from_message(message) {
        Ok(request) => {
            assert_eq!(Request::from_message(&request.to_message()), Ok(request));
        }
        Err(refusal) => {
            // It goes to a terminal, whatever was asked for.
            assert!(!refusal.message.is_empty() && refusal.message.len() < 1000);
            assert!(!refusal.message.contains(|letter: char| letter.is_control()));
        }
    }
}

/// Any text can be a value.
fn spoken(text: &str) {
    let mut message = Message::new();
    for value in text.split('=') {
        message.add("message", value);
    }
    let mut out = Vec::new();
    message.write(&mut out);
    assert_eq!(Message::parse(&out), Ok(message));
}

fn names(text: &str) {
    let (wanted, name) = text.split_once('\n').unwrap_or((text, "web"));
    let is_like = pattern::matches(wanted, name);
    if !pattern::is_pattern(wanted) {
        assert_eq!(is_like, wanted == name);
    }
    assert!(pattern::matches("*", name));
    // A star more can only take more.
    assert!(!is_like || pattern::matches(&format!("{wanted}*"), name) || wanted.contains('['));
}
