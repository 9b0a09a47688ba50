//! Mail: the message as RFC 5322 has it, and who takes it, a server or sendmail(8).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::event::{self, Alert};
use super::super::settings::Settings;
use super::{Failure, command, host, smtp};
use crate::client::say;
use crate::sys;

/// Sends it.
pub fn send(settings: &Settings, alerts: &[Alert]) -> Result<(), Failure> {
    let host = host();
    let from = sender(settings, &host);
    let now = u64::try_from(sys::wall_seconds()).unwrap_or(0);
    let text = compose(settings, alerts, &host, now);
    match &settings.smtp {
        Some(server) => smtp::send(settings, server, &host, &from, &text.replace('\n', "\r\n")),
        None => {
            let options = ["-i", "-f", &from, "--"].map(str::to_owned);
            let words = [settings.sendmail.clone()].into_iter().chain(options);
            let words: Vec<String> = words.chain(settings.mail.iter().cloned()).collect();
            command::run(&words, &[], text.as_bytes(), settings.timeout)
        }
    }
}

/// Who it is from.
pub fn sender(settings: &Settings, host: &str) -> String {
    settings.from.clone().unwrap_or_else(|| format!("going@{host}"))
}

/// All of the message. The same alerts make the same identifier, so that whoever gets
/// it twice can tell.
fn compose(settings: &Settings, alerts: &[Alert], host: &str, now: u64) -> String {
    let id = alerts.first().map_or("", |alert| &alert.id);
    let id: String =
        id.chars().filter(|it| it.is_ascii_alphanumeric() || ".-".contains(*it)).collect();
    let (coding, body) = body(&event::text(alerts));
    format!(
        "From: going <{}>\nTo: {}\nSubject: {}\nDate: {}\nMessage-ID: <{}.{}@{host}>\n\
         Auto-Submitted: auto-generated\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {coding}\n\n{body}",
        sender(settings, host),
        settings.mail.join(",\n "),
        encoded(&event::subject(alerts, host)),
        date(now),
        if id.is_empty() { "test" } else { &id },
        alerts.len(),
    )
}

/// Servers may cut longer lines (RFC 5321, 4.5.3.1.6).
const LINE_MAX: usize = 900;

/// As it is where every server can carry that; encoded, where not.
fn body(text: &str) -> (&'static str, String) {
    let is_plain = |line: &str| {
        line.len() <= LINE_MAX && line.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
    };
    if text.lines().all(is_plain) {
        return ("7bit", text.to_owned());
    }
    let mut coded = String::new();
    // 57 bytes make a line of 76 letters.
    for piece in text.as_bytes().chunks(57) {
        STANDARD.encode_string(piece, &mut coded);
        coded.push('\n');
    }
    ("base64", coded)
}

/// The value of a header, by RFC 2047 where it is not plain. Short: what is cut off
/// is in the text.
pub fn encoded(text: &str) -> String {
    const SHOWN: usize = 200;
    let text: String = text.chars().filter(|it| !it.is_control()).take(SHOWN).collect();
    if text.is_ascii() && !text.contains("=?") {
        return text;
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for letter in text.chars() {
        // An encoded word has 75 letters at most, and never half a letter.
        if word.len() + letter.len_utf8() > 42 {
            words.push(std::mem::take(&mut word));
        }
        word.push(letter);
    }
    words.push(word);
    let words: Vec<String> =
        words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join(" ")
}

/// As RFC 5322 has it, in UTC.
fn date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let moment = say::moment(seconds.saturating_mul(1000));
    let part = |from: usize, to: usize| moment.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().unwrap_or(1);
    let month = MONTHS.get(month.saturating_sub(1)).copied().unwrap_or_default();
    // The first day of 1970 was a Thursday.
    let day = usize::try_from(seconds / 86_400 % 7).unwrap_or(0);
    let day = DAYS.get(day).copied().unwrap_or_default();
    format!("{day}, {} {month} {} {} +0000", part(8, 10), part(0, 4), part(11, 19))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Message;

    #[test]
    fn dates_are_those_of_mail() {
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(date(1_763_711_172), "Fri, 21 Nov 2025 07:46:12 +0000");
    }

    #[test]
    fn headers_and_text_are_plain_where_they_can_be() {
        assert_eq!(encoded("a\r\nBcc: x"), "aBcc: x");
        assert_eq!(encoded("\u{e9}"), "=?utf-8?B?w6k=?=");
        assert!(encoded(&"\u{e9}".repeat(500)).split(' ').all(|word| word.len() <= 75));
        assert_eq!(body("a\nb\n"), ("7bit", "a\nb\n".to_owned()));
        assert_eq!(body("\u{e9}\n"), ("base64", "w6kK\n".to_owned()));
        assert_eq!(body(&"x".repeat(901)).0, "base64");
    }

    #[test]
    fn the_same_events_make_the_same_identifier() {
        let settings = Settings { mail: vec!["a@b".into(), "c@d".into()], ..Settings::default() };
        let mut alert = Alert::new("failed", "web: failed", 0, &[], &Message::new());
        alert.id = "000000000001-7.5.9".to_owned();
        let text = compose(&settings, &[alert], "h", 0);
        let head = "From: going <going@h>\nTo: a@b,\n c@d\nSubject: [h] web: failed\n";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("\nMessage-ID: <000000000001-7.5.9.1@h>\n"), "{text}");
        assert!(text.ends_with("\n\n1970-01-01T00:00:00.000Z web: failed\n"), "{text}");
    }
}
