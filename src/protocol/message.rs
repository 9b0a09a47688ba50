//! Messages and the bytes they are. Every message has exactly one form, and no
//! bytes whatever may make the reader panic, guess, or keep more of them than
//! [`MESSAGE_MAX`].

use std::fmt;

/// In bytes, the empty line included. Nothing anybody asks for is a tenth of
/// it, and a stranger must not fill our memory.
pub const MESSAGE_MAX: usize = 64 * 1024;

/// Keys and values in the order in which they were said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Lines of `key=value`, unescaped: a client that is told of a thousand
    /// services makes two pieces of memory of each, not forty.
    text: String,
    /// Where in it each key ends, and where its value does.
    ends: Vec<(usize, usize)>,
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Longer than [`MESSAGE_MAX`].
    TooLong,
    /// Not UTF-8.
    NotText,
    /// A line that is not `key=value`.
    NotPair,
    /// A backslash before something that needs none, or a bare carriage return.
    Escape,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::TooLong => "a message is longer than 64 KiB",
            Malformed::NotText => "a message is not UTF-8",
            Malformed::NotPair => "a line of a message is not key=value",
            Malformed::Escape => {
                "a value has a backslash before something else than \\, n and r in it, or a bare \
                 carriage return"
            }
        })
    }
}

impl Message {
    /// A message that says nothing yet.
    pub fn new() -> Message {
        Message::default()
    }

    /// Says one thing more.
    pub fn add(&mut self, key: &str, value: &str) {
        self.text.push_str(key);
        self.text.push('=');
        let key_end = self.text.len() - 1;
        self.text.push_str(value);
        self.ends.push((key_end, self.text.len()));
        self.text.push('\n');
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// All values of `key`.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.pairs().filter(move |pair| pair.0 == key).map(|pair| pair.1)
    }

    /// The first value of `key`, if it is a number.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    /// All that is said.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |&(key_end, end)| {
            let key = self.text.get(start..key_end).unwrap_or_default();
            start = end + 1;
            (key, self.text.get(key_end + 1..end).unwrap_or_default())
        })
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Writes all of it, and its end.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (key, value) in self.pairs() {
            put(out, key, value);
        }
        end(out);
    }

    /// Reads the lines of one message, with or without the empty one at the end.
    ///
    /// # Errors
    /// What is wrong with the first wrong line.
    pub fn parse(bytes: &[u8]) -> Result<Message, Malformed> {
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::NotText)?;
        let text = text.strip_suffix("\n\n").or(text.strip_suffix('\n')).unwrap_or(text);
        let mut message = Message { text: String::with_capacity(text.len() + 1), ends: Vec::new() };
        if text.is_empty() {
            return Ok(message);
        }
        let is_plain = !text.contains(['\\', '\r']);
        let mut start = 0;
        for line in text.split('\n') {
            let (key, value) = line.split_once('=').ok_or(Malformed::NotPair)?;
            if !is_key(key) {
                return Err(Malformed::NotPair);
            }
            if is_plain {
                message.ends.push((start + key.len(), start + line.len()));
                start += line.len() + 1;
            } else {
                message.add(key, &unescape(value)?);
            }
        }
        if is_plain {
            message.text.push_str(text);
            message.text.push('\n');
        }
        Ok(message)
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// Writes one line of a message.
pub fn put(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    // Byte by byte takes ten times as long, and is seldom needed.
    if value.contains(['\\', '\n', '\r']) {
        let escaped = value.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
        out.extend_from_slice(escaped.as_bytes());
    } else {
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'\n');
}

/// Writes one line whose value is a number.
pub fn put_number(out: &mut Vec<u8>, key: &str, number: u64) {
    put(out, key, &number.to_string());
}

/// Writes the empty line that ends a message.
pub fn end(out: &mut Vec<u8>) {
    out.push(b'\n');
}

fn unescape(value: &str) -> Result<String, Malformed> {
    if !value.contains(['\\', '\r']) {
        return Ok(value.to_owned());
    }
    let mut text = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        text.push(match letter {
            '\\' => match letters.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('r') => '\r',
                _ => return Err(Malformed::Escape),
            },
            '\r' => return Err(Malformed::Escape),
            _ => letter,
        });
    }
    Ok(text)
}

/// Makes messages of bytes as they come in, however they are cut.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the message begins which is being read.
    start: usize,
    /// How far the buffer is known to have no end of it.
    seen: usize,
    /// After this there is no telling where a message begins.
    broken: Option<Malformed>,
}

impl Decoder {
    /// A decoder that has read nothing.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Takes more bytes. Ask for messages before the next ones, or they pile up.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.buffer.drain(..self.start);
            self.seen = self.seen.saturating_sub(self.start);
            self.start = 0;
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next message, if all of it is there. Empty lines between messages
    /// mean nothing.
    ///
    /// # Errors
    /// Once there was one, nothing else comes any more.
    pub fn message(&mut self) -> Result<Option<Message>, Malformed> {
        match self.broken {
            Some(why) => Err(why),
            None => self.read().inspect_err(|&why| self.give_up(why)),
        }
    }

    /// Whether a message was begun that is not complete.
    pub fn is_amid(&self) -> bool {
        self.buffer.len() > self.start
    }

    fn give_up(&mut self, why: Malformed) {
        *self = Decoder { broken: Some(why), ..Decoder::new() };
    }

    fn read(&mut self) -> Result<Option<Message>, Malformed> {
        while self.buffer.get(self.start) == Some(&b'\n') {
            self.start += 1;
        }
        // The last byte seen may be the first half of the end.
        let from = self.seen.saturating_sub(1).max(self.start);
        let unseen = self.buffer.get(from..).unwrap_or_default();
        let found = unseen.windows(2).position(|pair| pair == b"\n\n");
        let end = found.map_or(self.buffer.len(), |at| from + at + 2);
        if end - self.start > MESSAGE_MAX {
            return Err(Malformed::TooLong);
        }
        self.seen = end;
        if found.is_none() {
            if !self.is_amid() {
                // Most connections are silent most of the time.
                *self = Decoder::new();
            }
            return Ok(None);
        }
        let message = Message::parse(self.buffer.get(self.start..end).unwrap_or_default())?;
        self.start = end;
        Ok(Some(message))
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
