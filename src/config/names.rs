//! Which files of the directory are services, told by their names alone. A name
//! is refused or taken whole, never cut: two names must not become one.

use super::grammar::show;

/// In bytes; it ends up in log lines and fixed-size records.
pub const NAME_MAX: usize = 64;

/// What editors, packagers and people add to a name to set a file aside.
const ASIDE: [&str; 9] =
    [".swp", ".tmp", ".bak", ".orig", ".rej", ".disabled", ".rpmnew", ".rpmsave", ".apk-new"];

/// What a file is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A service.
    Service,
    /// What services are made of, `web@1` of `web@`.
    Template,
    /// Not meant to be one: hidden or set aside.
    Skip,
    /// Meant to be one, perhaps, but longer than [`NAME_MAX`].
    TooLong,
    /// Meant to be one, perhaps, but not acceptable for this reason.
    Refused(String),
}

/// Judges the name of a file.
pub fn judge(name: &[u8]) -> Name {
    if name == b"@" || is_aside(name) {
        return Name::Skip;
    }
    if name.len() > NAME_MAX {
        return Name::TooLong;
    }
    let Ok(name) = std::str::from_utf8(name) else {
        return Name::Refused("a service name must be ASCII".into());
    };
    let is_known = |letter: char| letter.is_ascii_alphanumeric() || "._-@:".contains(letter);
    if let Some(stranger) = name.chars().find(|&letter| !is_known(letter)) {
        let stranger = show(stranger.encode_utf8(&mut [0; 4]));
        return Name::Refused(format!(
            "a service name cannot have {stranger} in it (only A-Z a-z 0-9 . _ - @ :)"
        ));
    }
    if !name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) {
        return Name::Refused("a service name must begin with a letter or digit".into());
    }
    match name.find('@') {
        Some(at) if at.saturating_add(1) == name.len() => Name::Template,
        Some(_) if name.ends_with('@') => {
            Name::Refused("the argument of an instance cannot end with @".into())
        }
        _ => Name::Service,
    }
}

/// Whether a file was set aside or is hidden, by whatever made it so.
pub fn is_aside(name: &[u8]) -> bool {
    let last_part = name.rsplit(|&byte| byte == b'.').next().unwrap_or(name);
    name.starts_with(b".")
        || name.ends_with(b"~")
        || (last_part.len() < name.len() && last_part.starts_with(b"dpkg-"))
        || ASIDE.iter().any(|ending| name.ends_with(ending.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(name: &[u8]) -> String {
        match judge(name) {
            Name::Refused(reason) => reason,
            other @ (Name::Service | Name::Template | Name::Skip | Name::TooLong) => {
                panic!("{name:?} is {other:?}")
            }
        }
    }

    #[test]
    fn ordinary_names_are_services() {
        for name in ["web", "a", "0", "web-1.example.com", "A_b:c", "getty@tty1", "x.tmpl", "tmp"] {
            assert_eq!(judge(name.as_bytes()), Name::Service, "{name}");
        }
        for name in ["dpkg-x", "a.b-dpkg-x", "web.bak2", "bak", "disabled", "a.dpkg"] {
            assert_eq!(judge(name.as_bytes()), Name::Service, "{name}");
        }
    }

    #[test]
    fn hidden_files_and_backups_are_skipped() {
        for name in [
            ".",
            "..",
            ".x",
            ".#web",
            "web~",
            "~",
            "web.swp",
            "web.tmp",
            "web.bak",
            "web.orig",
            "web.rej",
            "web.disabled",
            "web.rpmnew",
            "web.rpmsave",
            "web.apk-new",
            "web.dpkg-new",
            "web.dpkg-dist",
            "web.dpkg-",
            "@",
            "a b.bak",
            "\u{e9}~",
        ] {
            assert_eq!(judge(name.as_bytes()), Name::Skip, "{name}");
        }
        assert_eq!(judge(b"\xff~"), Name::Skip);
    }

    #[test]
    fn templates_end_at_their_first_at_sign() {
        assert_eq!(judge(b"web@"), Name::Template);
        assert_eq!(judge(b"web@1"), Name::Service);
        assert_eq!(judge(b"web@1@2"), Name::Service);
        assert_eq!(reason(b"web@1@"), "the argument of an instance cannot end with @");
    }

    #[test]
    fn longest_name_has_64_bytes() {
        assert_eq!(judge("x".repeat(64).as_bytes()), Name::Service);
        assert_eq!(judge("x".repeat(65).as_bytes()), Name::TooLong);
        assert_eq!(judge("*".repeat(65).as_bytes()), Name::TooLong);
        assert_eq!(judge(format!(".{}", "x".repeat(65)).as_bytes()), Name::Skip);
        assert_eq!(judge(format!("{}~", "x".repeat(65)).as_bytes()), Name::Skip);
    }

    #[test]
    fn other_names_are_refused_with_the_reason() {
        assert_eq!(
            reason(b"a b"),
            "a service name cannot have \" \" in it (only A-Z a-z 0-9 . _ - @ :)"
        );
        assert!(reason(b"a\nb").contains(r#""\n""#));
        assert!(reason("caf\u{e9}".as_bytes()).contains("\"\u{e9}\""));
        assert!(reason(b"#web#").contains("\"#\""));
        assert_eq!(reason(b"a\xff"), "a service name must be ASCII");
        for name in ["-rf", "_x", "@x", ":x", ""] {
            assert!(reason(name.as_bytes()).ends_with("begin with a letter or digit"), "{name}");
        }
    }
}
