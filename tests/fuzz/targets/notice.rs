//! What anybody may send to the socket for notices: reading must end, keep what is short,
//! and never let through what does something to a terminal.

#![no_main]

use going::protocol::notice::{NOTICE_MAX, Notice, STATUS_MAX, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let notices = read(bytes);
    assert!(bytes.len() <= NOTICE_MAX || notices.is_empty());
    let mut is_past = false;
    for notice in &notices {
        match notice {
            Notice::Main(pid) => assert!(*pid > 1 && !is_past, "who it is comes first"),
            Notice::Status(text) => {
                assert!(text.chars().count() <= STATUS_MAX + 1);
                assert!(!text.contains(|letter: char| letter.is_control()));
                // It is read as it was written.
                let again = read(format!("STATUS={text}").as_bytes());
                assert!(text.chars().count() > STATUS_MAX || again == [notice.clone()]);
            }
            Notice::Watchdog(time) => assert!(!time.is_zero()),
            Notice::Ready
            | Notice::Reloading
            | Notice::Stopping
            | Notice::Alive
            | Notice::Hung
            | Notice::Extend(_) => {}
        }
        is_past |= !matches!(notice, Notice::Main(_));
    }
    // A line means the same wherever it stands.
    let lines = bytes.split(|&byte| byte == b'\n').flat_map(read).count();
    assert!(bytes.len() > NOTICE_MAX || bytes.contains(&0) || lines == notices.len());
});
