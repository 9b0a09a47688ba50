//! The terminal: color, size, and the full screen of `--watch` and `top`. What
//! was changed about it is put back, however we end.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::client::Trouble;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::low_level::pipe;

/// When to use color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// On a terminal that can, unless NO_COLOR is set.
    Auto,
    /// Even in a pipe.
    Always,
    /// Not even on a terminal.
    Never,
}

/// How things are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// With color.
    pub has_color: bool,
    /// Stdout is a terminal.
    pub is_terminal: bool,
    /// Stderr is a terminal, where progress can be seen.
    pub has_progress: bool,
}

/// What a color is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// As it should be.
    Good,
    /// On its way.
    Busy,
    /// As it should not be.
    Bad,
    /// Not to be looked at first.
    Faint,
    /// To be looked at first.
    Strong,
}

impl Style {
    /// What this process can show.
    pub fn new(when: When) -> Style {
        let is_terminal = io::stdout().is_terminal();
        let variable = |name| std::env::var_os(name).is_some_and(|it| !it.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
        Style {
            has_color: match when {
                When::Always => true,
                When::Never => false,
                When::Auto => is_terminal && !is_dumb && !variable("NO_COLOR"),
            },
            is_terminal,
            has_progress: io::stderr().is_terminal() && !is_dumb,
        }
    }

    /// `text`, painted.
    pub fn paint(self, paint: Paint, text: &str) -> String {
        if !self.has_color || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Good => "32",
            Paint::Busy => "33",
            Paint::Bad => "31",
            Paint::Faint => "2",
            Paint::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Columns and rows of the terminal on stdout; a usual size if it will not tell.
pub fn size() -> (usize, usize) {
    match terminal_size::terminal_size_of(io::stdout()) {
        Some((width, height)) if width.0 > 0 && height.0 > 0 => {
            (usize::from(width.0), usize::from(height.0))
        }
        _ => (80, 24),
    }
}

/// The first `width` letters of a line. Colors take no room and are kept, so
/// that one which was begun is ended.
pub fn cut(line: &str, width: usize) -> String {
    let (mut text, mut room) = (String::new(), width);
    let mut is_code = false;
    for letter in line.chars() {
        is_code |= letter == '\x1b';
        if is_code {
            text.push(letter);
            is_code = letter != 'm';
        } else if room > 0 {
            text.push(letter);
            room -= 1;
        }
    }
    text
}

/// What a pause ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The time is over.
    Time,
    /// A key was pressed.
    Key(u8),
    /// The terminal has another size.
    Resized,
    /// We are to end.
    End,
}

/// Signals as bytes in a pipe, so that one poll(2) waits for them too.
#[derive(Debug)]
pub struct Ears {
    ends: UnixStream,
    sizes: UnixStream,
}

impl Ears {
    /// From now on signals which would end us are told instead.
    ///
    /// # Errors
    /// What socketpair(2) and sigaction(2) say.
    pub fn new() -> Result<Ears, Trouble> {
        let failed = |error: io::Error| Trouble::Failed(format!("can't hear signals: {error}"));
        let ((ends, end), (sizes, size)) =
            UnixStream::pair().and_then(|ends| Ok((ends, UnixStream::pair()?))).map_err(failed)?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let end = end.try_clone().map_err(failed)?;
            pipe::register(signal, end).map_err(failed)?;
        }
        pipe::register(SIGWINCH, size).map_err(failed)?;
        sizes.set_nonblocking(true).map_err(failed)?;
        Ok(Ears { ends, sizes })
    }

    /// Waits for this long, or until something happens. Keys are heard only if
    /// somebody wants them.
    pub fn pause(&self, time: Duration, with_keys: bool) -> Wake {
        let stdin = io::stdin();
        let mut fds = vec![
            PollFd::new(self.ends.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.sizes.as_fd(), PollFlags::POLLIN),
        ];
        if with_keys {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        // A signal that interrupts it is in the pipe by then.
        let _ = poll(&mut fds, time);
        let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let (is_end, is_size) = (ready.next() == Some(true), ready.next() == Some(true));
        let is_key = ready.next() == Some(true);
        if is_end {
            return Wake::End;
        }
        if is_size {
            let mut buffer = [0; 64];
            while (&self.sizes).read(&mut buffer).is_ok_and(|length| length > 0) {}
            return Wake::Resized;
        }
        if is_key {
            let mut key = [0];
            // Stdin has ended or is broken: nobody is there any more.
            return match nix::unistd::read(stdin.as_fd(), &mut key) {
                Ok(1..) => Wake::Key(key[0]),
                Ok(0) | Err(_) => Wake::End,
            };
        }
        Wake::Time
    }
}

/// A screen of our own, under which the old one waits.
#[derive(Debug)]
pub struct Screen {
    ears: Ears,
    /// How the keyboard was.
    before: Option<Termios>,
}

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

impl Screen {
    /// Takes the screen over.
    ///
    /// # Errors
    /// Stdout may be no terminal.
    pub fn new(what: &str) -> Result<Screen, Trouble> {
        if !io::stdout().is_terminal() {
            let text = format!("{what} needs a terminal; in a pipe use status, or events -f");
            return Err(Trouble::Usage(text));
        }
        let ears = Ears::new()?;
        let stdin = io::stdin();
        // Keys are to be heard at once and not shown. Ctrl-C remains a signal.
        let before = tcgetattr(stdin.as_fd()).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
            // One key is enough to be told of; and Ctrl-Z would leave our screen
            // to a shell that knows nothing of it.
            let changed = [(SpecialCharacterIndices::VMIN, 1), (SpecialCharacterIndices::VSUSP, 0)];
            for (place, value) in changed {
                if let Some(place) = quiet.control_chars.get_mut(place as usize) {
                    *place = value;
                }
            }
            let _ = tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &quiet);
        }
        let screen = Screen { ears, before };
        super::print(ENTER)?;
        Ok(screen)
    }

    /// Shows these lines, from the top, as far as they fit; then waits.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn show(&self, text: &str, time: Duration) -> Result<Wake, Trouble> {
        let (width, height) = size();
        let mut picture = String::from("\x1b[H");
        for (number, line) in text.lines().take(height).enumerate() {
            // Before each line but the first, or the last one would scroll. What
            // was there is cleared as it is written over: nothing flickers.
            picture.push_str(if number > 0 { "\r\n" } else { "" });
            picture.push_str(&cut(line, width));
            picture.push_str("\x1b[K");
        }
        picture.push_str("\x1b[J");
        super::print(&picture)?;
        Ok(self.ears.pause(time, self.before.is_some()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = io::stdout().write_all(LEAVE.as_bytes());
        let _ = io::stdout().flush();
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLORED: Style = Style { has_color: true, is_terminal: true, has_progress: true };

    #[test]
    fn lines_are_cut_by_what_is_seen_of_them() {
        assert_eq!(cut("abcdef", 3), "abc");
        assert_eq!(cut("ab", 3), "ab");
        let painted = format!("{}cdef", COLORED.paint(Paint::Bad, "ab"));
        assert_eq!(cut(&painted, 3), "\x1b[31mab\x1b[0mc");
        assert_eq!(cut(&painted, 1), "\x1b[31ma\x1b[0m");
    }

    #[test]
    fn nothing_is_painted_without_color() {
        let plain = Style { has_color: false, ..COLORED };
        assert_eq!(plain.paint(Paint::Bad, "ab"), "ab");
        assert_eq!(COLORED.paint(Paint::Good, ""), "");
    }
}
