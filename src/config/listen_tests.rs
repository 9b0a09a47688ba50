//! Addresses and options: what is read, how it is written, what is complained about.

use super::*;

fn read(value: &str) -> Result<String, String> {
    let mut listens = Vec::new();
    add_listen(&mut listens, value)?;
    Ok(show_listen(&listens[0]))
}

#[test]
fn addresses_have_one_spelling() {
    for (value, shown) in [
        ("tcp:80", "tcp:*:80"),
        ("tcp:*:80", "tcp:*:80"),
        ("tcp:localhost:8080", "tcp:127.0.0.1:8080"),
        ("tcp:127.0.0.1:1", "tcp:127.0.0.1:1"),
        ("tcp:[::1]:65535", "tcp:[::1]:65535"),
        ("tcp:[0:0::1]:7", "tcp:[::1]:7"),
        ("tcp:[fe80::1%2]:7", "tcp:[fe80::1%2]:7"),
        ("udp:53", "udp:*:53"),
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("unix:@a", "unix:@a"),
        ("unix-dgram:/run/log", "unix-dgram:/run/log"),
        ("unix-seqpacket:@x:y", "unix-seqpacket:@x:y"),
        ("'unix:/run/a b'", "'unix:/run/a b'"),
    ] {
        assert_eq!(read(value).as_deref(), Ok(shown), "{value}");
        assert_eq!(read(shown).as_deref(), Ok(shown), "{value}");
    }
}

#[test]
fn options_have_one_order() {
    let text = "tcp:*:80 name=http backlog=7 v6only=yes reuse-port=yes freebind=yes";
    let other = "tcp:80 freebind=yes backlog=7 reuse-port=yes  v6only=yes name=http";
    assert_eq!(read(other).as_deref(), Ok(text));
    let text = "unix:/a mode=0600 owner=www group=4";
    assert_eq!(read("unix:/a group=4 mode=600 owner=www").as_deref(), Ok(text));
    assert_eq!(read("unix:/a mode=0660").as_deref(), Ok("unix:/a"));
    assert_eq!(read("tcp:80 freebind=no").as_deref(), Ok("tcp:*:80"));
}

#[test]
fn wrong_addresses_are_told_with_the_right_one() {
    for (value, said) in [
        ("8080", "did you mean \"tcp:8080\"?"),
        ("127.0.0.1:80", "did you mean \"tcp:127.0.0.1:80\"?"),
        ("/run/a", "did you mean \"unix:/run/a\"?"),
        ("tpc:80", "did you mean \"tcp:80\"?"),
        ("tcp:::1:80", "did you mean \"tcp:[::1]:80\"?"),
        ("tcp:www.example.org:80", "names are not looked up"),
        ("tcp:0", "a port from 1 to 65535"),
        ("tcp:", "a port from 1 to 65535"),
        ("tcp:65536", "a port from 1 to 65535"),
        ("tcp:+80", "a port from 1 to 65535"),
        ("tcp::80", "names are not looked up"),
        ("unix:run", "an absolute path, or @ and an abstract name"),
        ("unix:/run/", "an absolute path, or @ and an abstract name"),
        ("unix:", "a path or @name of 1 to 107 bytes"),
        ("unix:@", "a path or @name of 1 to 107 bytes"),
        ("tcp:80 mod=0660", "which is no option of a socket; did you mean \"mode\"?"),
        ("tcp:80 mode=0660", "has mode, which is an option of unix:/PATH only"),
        ("unix:@a mode=0660", "has mode, which is an option of unix:/PATH only"),
        ("udp:80 backlog=5", "of sockets with connections only"),
        ("tcp:1.2.3.4:80 v6only=yes", "of IPv6 addresses and of * only"),
        ("unix:/a freebind=yes", "of tcp: and udp: only"),
        ("tcp:80 freebind", "has freebind without a value; did you mean \"freebind=yes\"?"),
        ("tcp:80 freebind=1", "has freebind=\"1\", but must have yes or no"),
        ("tcp:80 backlog=0", "a number from 1 to 65535"),
        ("unix:/a mode=9", "an octal mode from 000 to 777"),
        ("tcp:80 name=a:b", "without a colon"),
        ("unix:/a owner=a,b", "a single name or number"),
        ("tcp:80 'a", "that is never closed"),
    ] {
        let message = read(value).unwrap_err();
        assert!(message.ends_with(said), "{value}: {message}");
    }
    let long = |length: usize| format!("unix:/{}", "x".repeat(length - 1));
    assert!(read(&long(108)).is_err());
    assert!(read(&long(107)).is_ok());
}

#[test]
fn an_address_is_there_once_and_not_too_many() {
    let mut listens = Vec::new();
    for port in 1..=32 {
        add_listen(&mut listens, &format!("tcp:{port}")).unwrap();
    }
    let full = add_listen(&mut listens, "udp:1").unwrap_err();
    assert_eq!(full, "is there more than 32 times");
    listens.truncate(2);
    let again = add_listen(&mut listens, "tcp:*:2 backlog=5").unwrap_err();
    assert_eq!(again, "has tcp:*:2 once more");
    assert_eq!(add_listen(&mut listens, "udp:2"), Ok(()));
}
