//! `going -- COMMAND`: a service made of the command line. It has our streams, our
//! working directory and our terminal, gets the signals that we get, and its end is
//! the end of all others and of going. Everything else is as with any service.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

use nix::libc;
use nix::sys::stat::{Mode, umask};

use super::Daemon;
use super::logger;
use super::report::{Level, report};
use crate::config::names::{self, Name};
use crate::config::{Policy, Signal, Spec, Whom, grammar, parse};
use crate::supervise::{Definition, Event, Outcome, Pid, Slot, State, Stay};
use crate::sys::child::Program;
use crate::sys::terminal;

/// More of a long command line nobody wants to see in a status.
const SHOWN_MAX: usize = 4096;

/// What stands after `--`.
pub(super) struct MainCommand {
    pub(super) name: String,
    words: Vec<CString>,
    text: String,
    has_terminal: bool,
    /// Nobody asked for the directory, and it may be missing.
    pub(super) is_alone: bool,
}

impl MainCommand {
    /// Makes a service of these words. What `-o` gave by name is not set here.
    pub(super) fn new(words: Vec<OsString>, given: &[String], is_alone: bool) -> Option<Self> {
        let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let base = shown.first()?.rsplit('/').next().unwrap_or_default();
        let is_name = names::judge(base.as_bytes()) == Name::Service && base != logger::NAME;
        let name = if is_name { base } else { "main" }.to_owned();
        let mut text = format!("cmd={}\n", show(shown));
        let mask = own_umask();
        for (key, value) in [
            ("restart", "never"),
            ("essential", "yes"),
            ("exit-code-from", &*name),
            ("stdin", "inherit"),
            ("stdout", "inherit"),
            ("stderr", "inherit"),
            ("umask", &mask),
        ] {
            if !given.iter().any(|it| it == key) {
                text.extend([key, "=", value, "\n"]);
            }
        }
        let words = words.into_iter().filter_map(|word| CString::new(word.into_vec()).ok());
        let has_terminal = terminal::is_there() && !given.iter().any(|it| it == "stdin");
        Some(MainCommand { name, words: words.collect(), text, has_terminal, is_alone })
    }

    fn definition(&self, defaults: &Spec) -> Definition {
        let text = self.text.as_bytes();
        let policy = parse(text, defaults).unwrap_or_default().policy;
        Definition { text: text.into(), policy: policy.into() }
    }

    /// What no service file could say.
    pub(super) fn adapt(&self, program: &mut Program) {
        program.argv.clone_from(&self.words);
        program.has_terminal = self.has_terminal;
        if program.cwd.as_bytes() == b"/" {
            program.cwd = c".".to_owned();
        }
    }
}

/// The words for people, on one line.
fn show(words: Vec<String>) -> String {
    let mut rest = SHOWN_MAX;
    let fit = words.into_iter().map_while(|word| {
        let is_fit = rest > 0;
        let word: String = word.chars().take(rest).collect();
        rest = rest.saturating_sub(word.len() + 1);
        is_fit.then(|| word.replace(char::is_control, " "))
    });
    grammar::join(&fit.collect::<Vec<_>>())
}

/// It can be asked only by changing it (umask(2)).
fn own_umask() -> String {
    let mask = umask(Mode::from_bits_truncate(0o022));
    umask(mask);
    format!("{:03o}", mask.bits())
}

impl Daemon {
    /// Whether a service of this name is the main command.
    pub(super) fn is_main(&self, name: &str) -> bool {
        self.ends.main.as_ref().is_some_and(|main| main.name == name)
    }

    fn main_slot(&self) -> Option<Slot> {
        self.supervisor.find(&self.ends.main.as_ref()?.name)
    }

    /// Its process, while it runs.
    fn main_pid(&self) -> Option<Pid> {
        self.supervisor.get(self.main_slot()?)?.state.pid()
    }

    /// Starts it after all others.
    pub(super) fn start_main(&mut self) {
        let Some(main) = &self.ends.main else { return };
        let (name, definition) = (main.name.clone(), main.definition(&self.defaults));
        self.add(&name, definition);
        self.follow_up();
    }

    /// Passes a signal on, as it came.
    pub(super) fn pass_on(&mut self, number: i32) {
        let (Some(slot), Some(pid)) = (self.main_slot(), self.main_pid()) else { return };
        let is_of_terminal = matches!(number, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU);
        // In a session of its own these do nothing by default (setpgid(2), orphaned).
        let is_lost = is_of_terminal && !terminal::is_shared();
        let number = if is_lost { libc::SIGSTOP } else { number };
        let Ok(signal) = u8::try_from(number).map(Signal) else { return };
        let Some(service) = self.supervisor.get(slot) else { return };
        let is_group = service.definition.policy.kill != Whom::Process;
        let sent = self.legacy.send(pid, signal, is_group);
        // Before it has a group of its own it can be reached alone.
        let sent = sent.or_else(|_| self.legacy.send(pid, signal, false));
        let fact = if sent.is_ok() { "passed on to" } else { "can't be passed on to" };
        report!(self.reporter, Level::Debug, "{signal}: {fact} {}", service.name);
    }

    /// Before all others are told to stop the main command is, for it may need
    /// them to the end. Whether that is under way now.
    pub(super) fn stop_main_first(&mut self, signal: Signal) -> bool {
        let Some(slot) = self.main_slot() else { return false };
        let Some(service) = self.supervisor.get(slot) else { return false };
        if service.stay != Stay::Here || !service.state.is_alive() || self.supervisor.is_closing() {
            return false;
        }
        let mut policy = Policy::clone(&service.definition.policy);
        // A sequence that begins with something else was given on purpose.
        if let Some(step) = policy.stop.iter_mut().find(|step| step.signal == Signal::TERM) {
            step.signal = signal;
        }
        let text = service.definition.text.clone();
        self.supervisor.redefine(slot, Definition { text, policy: policy.into() });
        self.supervisor.step(slot, Event::Leave(Stay::Closing), self.now);
        true
    }

    /// Whether the main command was told to stop and is not yet dead.
    pub(super) fn is_main_leaving(&self) -> bool {
        let service = self.main_slot().and_then(|slot| self.supervisor.get(slot));
        service.is_some_and(|it| it.stay == Stay::Closing && it.state.is_alive())
    }

    /// Gives the terminal back to whoever started us while it stops the main command.
    pub(super) fn watch_terminal(&mut self) {
        let Some(pid) = self.main_pid().filter(|_| self.has_lent_terminal()) else { return };
        if terminal::stopped(pid).is_some() && terminal::is_shared() {
            terminal::take_back(pid);
            terminal::suspend();
            terminal::lend(pid);
            let _ = self.legacy.send(pid, Signal(18), true);
        }
    }

    /// Takes it back when the main command has ended.
    pub(super) fn reclaim_terminal(&self, outcome: &Outcome) {
        let pid = outcome.before.pid().filter(|_| outcome.after.pid().is_none());
        let is_main = self.has_lent_terminal() && self.main_slot() == Some(outcome.slot);
        pid.filter(|_| is_main).map(terminal::take_back);
    }

    fn has_lent_terminal(&self) -> bool {
        self.ends.main.as_ref().is_some_and(|main| main.has_terminal)
    }

    /// Whether this is the end of the main command, or of an essential service.
    pub(super) fn is_end_of_all(&self, slot: Slot, state: State) -> bool {
        match state {
            State::Done | State::Failed => {
                let is_final = self.supervisor.get(slot).is_none_or(|it| it.next_run().is_none());
                is_final && self.spec(slot).is_some_and(|spec| spec.essential)
            }
            State::Down => {
                let service = self.supervisor.get(slot);
                self.main_slot() == Some(slot) && service.is_some_and(|it| it.stay == Stay::Closing)
            }
            State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Starting { .. }
            | State::Up { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Ending
            | State::Finishing { .. }
            | State::Quarantined { .. } => false,
        }
    }
}
