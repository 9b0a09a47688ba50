//! Messages, seen from both ends of a socket.

use proptest::prelude::*;

use super::*;

fn message(pairs: &[(&str, &str)]) -> Message {
    let mut message = Message::new();
    for (key, value) in pairs {
        message.add(key, value);
    }
    message
}

fn bytes(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write(&mut bytes);
    bytes
}

/// All that a decoder makes of bytes that come in pieces of this size.
fn decode(bytes: &[u8], size: usize) -> (Vec<Message>, Option<Malformed>) {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    for piece in bytes.chunks(size.max(1)) {
        decoder.feed(piece);
        loop {
            match decoder.message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(why) => return (messages, Some(why)),
            }
        }
    }
    (messages, None)
}

#[test]
fn message_is_lines_and_an_empty_one() {
    let message = message(&[("going", "1"), ("command", "status"), ("name", "a=b")]);
    assert_eq!(bytes(&message), b"going=1\ncommand=status\nname=a=b\n\n");
}

#[test]
fn line_ends_and_backslashes_are_escaped_and_nothing_else() {
    let message = message(&[("a", "1\n2\\n3\r\t\0\u{e9} =")]);
    let written = "a=1\\n2\\\\n3\\r\t\0\u{e9} =\n\n".as_bytes();
    assert_eq!(bytes(&message), written);
    assert_eq!(Message::parse(written), Ok(message));
}

#[test]
fn values_are_found_by_their_keys() {
    let message = message(&[("tag", "a"), ("pid", "12"), ("tag", "b"), ("strikes", "x")]);
    assert_eq!(message.get("tag"), Some("a"));
    assert_eq!(message.all("tag").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(message.number("pid"), Some(12));
    assert_eq!(message.number("strikes"), None);
    assert_eq!(message.get("nothing"), None);
}

#[test]
fn what_is_no_message_is_told() {
    for (text, why) in [
        ("a", Malformed::NotPair),
        ("=1", Malformed::NotPair),
        ("A=1", Malformed::NotPair),
        ("a b=1", Malformed::NotPair),
        (" a=1", Malformed::NotPair),
        ("a1=1", Malformed::NotPair),
        ("a=1\n\nb=1", Malformed::NotPair),
        ("a=\\", Malformed::Escape),
        ("a=\\t", Malformed::Escape),
        ("a=1\r", Malformed::Escape),
    ] {
        assert_eq!(Message::parse(text.as_bytes()), Err(why), "{text:?}");
        let whole = format!("b=2\n{text}\n\n");
        if !text.contains("\n\n") {
            assert_eq!(decode(whole.as_bytes(), 1000), (vec![], Some(why)), "{text:?}");
        }
    }
    assert_eq!(Message::parse(b"a=\xff\n\n"), Err(Malformed::NotText));
}

#[test]
fn empty_lines_between_messages_mean_nothing() {
    let (messages, broken) = decode(b"\n\na=1\n\n\n\n\nb=2\n\n\n", 1000);
    assert_eq!(messages, [message(&[("a", "1")]), message(&[("b", "2")])]);
    assert_eq!(broken, None);
}

#[test]
fn messages_before_a_malformed_one_are_read_and_none_after_it() {
    let mut decoder = Decoder::new();
    decoder.feed(b"a=1\n\nbad\n\nc=3\n\n");
    assert_eq!(decoder.message(), Ok(Some(message(&[("a", "1")]))));
    assert_eq!(decoder.message(), Err(Malformed::NotPair));
    decoder.feed(b"d=4\n\n");
    assert_eq!(decoder.message(), Err(Malformed::NotPair));
}

#[test]
fn longest_message_has_64_kib() {
    let longest = format!("a={}\n\n", "x".repeat(MESSAGE_MAX - 4));
    assert_eq!(longest.len(), MESSAGE_MAX);
    assert_eq!(decode(longest.as_bytes(), 1000).0.len(), 1);
    assert_eq!(decode(longest.as_bytes(), MESSAGE_MAX).0.len(), 1);
    let longer = format!("a=x{}", longest.strip_prefix("a=").unwrap());
    assert_eq!(decode(longer.as_bytes(), 1000), (vec![], Some(Malformed::TooLong)));
    assert_eq!(decode(longer.as_bytes(), longer.len()), (vec![], Some(Malformed::TooLong)));
}

#[test]
fn endless_message_is_not_kept() {
    let mut decoder = Decoder::new();
    for _ in 0..100 {
        decoder.feed(&[b'x'; 1000]);
        let _ = decoder.message();
    }
    assert_eq!(decoder.message(), Err(Malformed::TooLong));
    assert!(decoder.buffer.capacity() < 2 * MESSAGE_MAX);
}

#[test]
fn decoder_knows_whether_a_message_was_cut_off() {
    let mut decoder = Decoder::new();
    assert!(!decoder.is_amid());
    decoder.feed(b"a=1\n\nb");
    assert!(decoder.message().unwrap().is_some());
    assert!(decoder.is_amid());
    decoder.feed(b"=2\n\n");
    assert!(decoder.message().unwrap().is_some());
    assert!(decoder.message().unwrap().is_none());
    assert!(!decoder.is_amid());
    assert_eq!(decoder.buffer.capacity(), 0, "a silent connection costs nothing");
}

proptest! {
    #[test]
    fn written_messages_are_read_again(
        pairs in prop::collection::vec(("[a-z-]{1,8}", r"[a\\nr\n\r\t=\PC]{0,12}"), 0..6)
    ) {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (&**key, &**value)).collect();
        let message = message(&pairs);
        prop_assert_eq!(Message::parse(&bytes(&message)), Ok(message));
    }

    #[test]
    fn a_message_has_one_form(text in r"([ab=\\nr\n\r-]{0,6}\n){0,4}") {
        if let Ok(message) = Message::parse(text.as_bytes()) {
            let written = String::from_utf8(bytes(&message)).unwrap();
            prop_assert_eq!(written.trim_end_matches('\n'), text.trim_end_matches('\n'));
        }
    }

    #[test]
    fn bytes_in_pieces_are_the_same_as_at_once(
        text in r"([ab=\\n]{0,3}\n|a=[a-z]{0,9}\n|\n){0,12}", size in 1..9_usize
    ) {
        prop_assert_eq!(decode(text.as_bytes(), size), decode(text.as_bytes(), 10_000));
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'='), any::<u8>()], 0..200),
        size in 1..50_usize,
    ) {
        prop_assert_eq!(decode(&bytes, size), decode(&bytes, 1));
    }
}
