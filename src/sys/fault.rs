//! A bug of ours is told where it happened. The released programs are built without
//! the words and tables of Rust's panics, which would be a tenth of them: a panic is
//! an instruction that the processor refuses. What is left to say is the place, and
//! `make where AT=0x1234` turns that into functions, files and lines.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

use nix::sys::signal::Signal;

/// By these a program dies of its own doing (signal(7)).
pub const FATAL: [Signal; 7] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGABRT,
    Signal::SIGSYS,
    Signal::SIGTRAP,
];

/// The program's.
static NAME: OnceLock<&str> = OnceLock::new();

unsafe extern "C" {
    /// Where the program lies in memory; the linker knows.
    safe static __ehdr_start: u8;
}

/// From now on, if the program of this name dies by one of the [`FATAL`] signals, it
/// says so on standard error, with the place in it as addr2line(1) takes that. Then
/// it dies as it would have.
pub fn tell(name: &'static str) {
    NAME.get_or_init(|| name);
    listen();
}

/// Listens for these signals (sigaction(2)), again where they were reset.
pub(super) fn listen() {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeroes are a sigaction.
    let action = unsafe { action.assume_init_mut() };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = last_words;
    action.sa_sigaction = handler as usize;
    // On the stack that std has set aside: this one may be what ran out.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND | libc::SA_ONSTACK;
    for signal in FATAL {
        // SAFETY: what it runs calls nothing but what signal-safety(7) lists.
        unsafe { libc::sigaction(signal as c_int, action, ptr::null_mut()) };
    }
}

extern "C" fn last_words(signal: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let base = (&raw const __ehdr_start).addr();
    let name = Signal::try_from(signal).map_or("a signal", Signal::as_str);
    let mut digits = [0; 16];
    let at = hexadecimal(instruction(context).wrapping_sub(base), &mut digits);
    for part in [
        NAME.get().copied().unwrap_or_default().as_bytes(),
        concat!(" ", env!("CARGO_PKG_VERSION"), ": died of ").as_bytes(),
        name.as_bytes(),
        b" at 0x",
        at,
        b", a bug or for want of memory; please report this line\n",
    ] {
        // SAFETY: part is as long as it says. Where nobody listens, nobody is told.
        unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
    }
    // A bug comes by again on return, with nobody to catch it. A signal that somebody
    // sent does not.
    // SAFETY: sends a signal to this thread, which has it blocked in here.
    unsafe { libc::raise(signal) };
}

/// The address at which the signal came.
#[cfg(target_arch = "x86_64")]
fn instruction(context: *mut c_void) -> usize {
    // SAFETY: with SA_SIGINFO, that is what the kernel passes (sigaction(2)).
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    let register = usize::try_from(libc::REG_RIP).unwrap_or_default();
    let address = context.uc_mcontext.gregs.get(register).copied().unwrap_or_default();
    usize::try_from(address).unwrap_or_default()
}

/// The same, for another processor.
#[cfg(target_arch = "aarch64")]
fn instruction(context: *mut c_void) -> usize {
    // SAFETY: with SA_SIGINFO, that is what the kernel passes (sigaction(2)).
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    usize::try_from(context.uc_mcontext.pc).unwrap_or_default()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn instruction(_: *mut c_void) -> usize {
    0
}

/// The digits of a number, without the zeroes ahead.
fn hexadecimal(number: usize, room: &mut [u8; 16]) -> &[u8] {
    let mut left = number;
    let mut begins = room.len();
    for (place, digit) in room.iter_mut().enumerate().rev() {
        *digit = b"0123456789abcdef".get(left & 15).copied().unwrap_or(b'?');
        begins = place;
        left >>= 4;
        if left == 0 {
            break;
        }
    }
    room.get(begins..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::abort;

    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, dup2_stderr, fork, pipe};

    use super::*;

    #[inline(never)]
    fn fall() -> u8 {
        let nowhere = std::hint::black_box(std::ptr::with_exposed_provenance::<u8>(8));
        // SAFETY: it is to die of this.
        let fallen = unsafe { *nowhere };
        fallen.wrapping_add(std::hint::black_box(1))
    }

    #[test]
    fn a_bug_is_told_with_its_place_and_dies_of_it() {
        let (reader, writer) = pipe().unwrap();
        // SAFETY: what the child does may be done after a fork: it allocates nothing.
        let child = match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let _ = dup2_stderr(&writer);
                tell("a-test");
                std::hint::black_box(fall());
                abort();
            }
            ForkResult::Parent { child } => child,
        };
        drop(writer);
        let mut text = String::new();
        std::fs::File::from(reader).read_to_string(&mut text).unwrap();
        let status = waitpid(child, None).unwrap();
        assert!(matches!(status, WaitStatus::Signaled(_, Signal::SIGSEGV, _)), "{status:?}");
        let began = concat!("a-test ", env!("CARGO_PKG_VERSION"), ": died of SIGSEGV at 0x");
        let at = text.strip_prefix(began).and_then(|it| it.split_once(',')).unwrap().0;
        let at = usize::from_str_radix(at, 16).unwrap();
        let begins = fall as fn() -> u8 as usize - (&raw const __ehdr_start).addr();
        assert!((begins..begins + 256).contains(&at), "{begins:x}: {text}");
    }

    #[test]
    fn numbers_are_written_as_addr2line_reads_them() {
        for number in [0, 1, 0xf, 0x10, 0x1a2b_3c4d, usize::MAX] {
            assert_eq!(hexadecimal(number, &mut [0; 16]), format!("{number:x}").as_bytes());
        }
    }
}
