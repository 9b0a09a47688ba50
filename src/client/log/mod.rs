//! What services wrote, read from their files by ourselves. Going is asked only
//! where they are; it never touches what is in them.

pub mod choice;
pub mod files;
pub mod follow;
mod last;
pub mod moment;
pub mod stream;
pub mod tail;

pub use choice::Choice;
pub use last::{chosen_lines, last_lines};
pub use stream::Source;

use std::path::PathBuf;

use crate::protocol::Message;

/// Which streams of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All there are.
    Both,
    /// Only stdout, or only stderr.
    One {
        /// It is stderr.
        is_stderr: bool,
    },
}

/// The logs of a service, as going tells them.
///
/// # Errors
/// Why it has none, in words.
pub fn of(block: &Message, wanted: Wanted) -> Result<Vec<Source>, String> {
    let Some(service) = block.get("service") else { return Ok(Vec::new()) };
    let source = |key: &str, is_stderr: bool| {
        let path = PathBuf::from(block.get(key)?);
        Some(Source { service: service.to_owned(), is_stderr, path })
    };
    let (stdout, stderr) = (source("log", false), source("log-stderr", true));
    let is_any = stdout.is_some() || stderr.is_some();
    let sources: Vec<Source> = match wanted {
        Wanted::Both => stdout.into_iter().chain(stderr).collect(),
        Wanted::One { is_stderr: false } => stdout.into_iter().collect(),
        Wanted::One { is_stderr: true } => stderr.into_iter().collect(),
    };
    match (sources.is_empty(), is_any, wanted) {
        (false, _, _) => Ok(sources),
        (true, true, Wanted::One { is_stderr: true }) => {
            Err(format!("{service}: its stderr has no file of its own"))
        }
        _ if block.get("cmd").is_none() && block.get("complaint").is_some() => Err(format!(
            "{service}: where its output goes cannot be told, for its file cannot be used; \
             `goingctl why {service}` tells what is wrong with it"
        )),
        _ => Err(format!(
            "{service}: its output does not go to a file; `goingctl keys stdout` tells where it can go"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &str, wanted: Wanted) -> Result<Vec<String>, String> {
        let block = Message::parse(lines.as_bytes()).unwrap();
        let sources = of(&block, wanted)?.into_iter();
        Ok(sources.map(|it| it.path.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn streams_that_are_apart_can_be_asked_for() {
        let (out, err) = (Wanted::One { is_stderr: false }, Wanted::One { is_stderr: true });
        let both = "service=web\nlog=/l/web.log\nlog-stderr=/l/web+stderr.log\n";
        assert_eq!(found(both, Wanted::Both).unwrap(), ["/l/web.log", "/l/web+stderr.log"]);
        assert_eq!(found(both, out).unwrap(), ["/l/web.log"]);
        assert_eq!(found(both, err).unwrap(), ["/l/web+stderr.log"]);
        let one = "service=web\nlog=/l/web.log\n";
        assert_eq!(found(one, Wanted::Both).unwrap(), ["/l/web.log"]);
        assert!(found(one, err).unwrap_err().contains("no file of its own"));
        assert!(found("service=web\n", Wanted::Both).unwrap_err().contains("not go to a file"));
        assert!(found("result=ok\n", Wanted::Both).unwrap().is_empty());
    }
}
