//! What a service says to listeners between two tags in its output, which may come in
//! pieces of any size.

const BEGIN: &[u8] = b"<!--XSUPERVISOR:BEGIN-->";
const END: &[u8] = b"<!--XSUPERVISOR:END-->";

/// In bytes. What is longer is cut, as supervisor does by its capture_maxbytes.
const CAPTURE_MAX: usize = 1024 * 1024;

/// The output of one stream.
#[derive(Debug, Default)]
pub struct Capture {
    /// What was said since the tag, if there was one.
    said: Option<Vec<u8>>,
    /// What may be the beginning of a tag.
    held: Vec<u8>,
}

impl Capture {
    /// Takes a piece of output; what is complete by that.
    pub fn take(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        // Most output has no tag in it, nor is one begun.
        if self.said.is_none() && self.held.is_empty() && !piece.contains(&b'<') {
            return whole;
        }
        let mut rest = std::mem::take(&mut self.held);
        rest.extend_from_slice(piece);
        loop {
            let tag = if self.said.is_some() { END } else { BEGIN };
            let place = memchr::memmem::find(&rest, tag);
            let (before, after) = match place.and_then(|place| rest.split_at_checked(place)) {
                Some((before, after)) => (before, after.get(tag.len()..)),
                None => {
                    let kept = beginning(&rest, tag);
                    (rest.get(..rest.len().saturating_sub(kept)).unwrap_or_default(), None)
                }
            };
            if let Some(said) = &mut self.said {
                let room = CAPTURE_MAX.saturating_sub(said.len());
                said.extend_from_slice(before.get(..room).unwrap_or(before));
            }
            let Some(after) = after else {
                self.held = rest.split_off(before.len());
                return whole;
            };
            match self.said.take() {
                Some(said) => whole.push(said),
                None => self.said = Some(Vec::new()),
            }
            rest = after.to_vec();
        }
    }
}

/// How many of the last bytes may be the beginning of a tag.
fn beginning(text: &[u8], tag: &[u8]) -> usize {
    let most = text.len().min(tag.len().saturating_sub(1));
    let is_begun = |length: &usize| tag.get(..*length).is_some_and(|it| text.ends_with(it));
    (1..=most).rev().find(is_begun).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_tags_is_said_however_it_is_cut() {
        let text = b"a<b <!--XSUPERVISOR:BEGIN-->one\n\xff<<!--XSUPERVISOR:END--> x \
                     <!--XSUPERVISOR:BEGIN--><!--XSUPERVISOR:END-->y<!--XSUPERVISOR:BEGIN-->two";
        for size in 1..text.len() {
            let mut capture = Capture::default();
            let found: Vec<_> = text.chunks(size).flat_map(|it| capture.take(it)).collect();
            assert_eq!(found, [&b"one\n\xff<"[..], b""], "{size}");
            assert_eq!(capture.take(b"<!--XSUPERVISOR:END-->"), [b"two"], "{size}");
        }
    }

    #[test]
    fn nothing_is_kept_of_what_is_said_to_nobody() {
        let mut capture = Capture::default();
        for _ in 0..1000 {
            assert!(capture.take(b"<!--XSUPERVISOR: no\n<!-").is_empty());
        }
        assert!(capture.held.len() < BEGIN.len());
    }
}
