//! What a log gets next: a newline that is due, what must be said, then output.
//! Pure but for the offset of local time; asked twice, it answers the same.

use super::clock;
use super::files::reason;
use super::journal::{Head, Kind, Progress};
use super::lines::{Flow, How, Page, Skipping, Stop, fill, skip};
use super::plain::pass;
use super::stamp::{Stamp, Time};
use crate::config::Timestamps;

/// Nothing that we say is that long; a journal of somebody else's may be.
const NOTE_MAX: usize = 4096;

/// The log as it is before.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// How large it is.
    pub size: u64,
    /// It ends where a line does.
    pub is_at_start: bool,
    /// Its open line is of this stream.
    pub is_own: bool,
    /// How large it may become; 0 is no limit.
    pub size_max: u64,
}

/// Fills `output` with what follows from `input` after `progress`: how much that
/// is, how far it goes, and why no further.
pub fn compose(
    head: &Head,
    input: &[u8],
    output: &mut [u8],
    progress: &Progress,
    before: Before,
) -> (usize, Progress, Stop) {
    let Stamps { stamp, note_stamp } = Stamps::of(head);
    let Progress { mut at, mut flow, ino, .. } = *progress;
    let mut page = Page::new(output, before.size);
    let mut rest = input.get(at..).unwrap_or_default();
    if before.is_at_start || !before.is_own {
        flow.column = 0;
    }
    if head.kind == Kind::Output && flow.skipping == Skipping::Full {
        // The rest of a line whose beginning was lost: told with it.
        rest = skip(rest, &mut flow);
        at = input.len() - rest.len();
        if rest.is_empty() {
            return (0, Progress { at, is_done: true, flow, ino }, Stop::Taken);
        }
    }
    let is_ended = head.kind == Kind::End && flow.end();
    if !before.is_at_start && (flow.column == 0 || is_ended || head.kind != Kind::Output) {
        page.put(b"\n");
        flow.break_line();
    }
    if flow.column == 0 {
        tell_losses(head, note_stamp.bytes(), &mut page, &mut flow);
    }
    let how = How {
        stamp: stamp.bytes(),
        is_stripped: head.settings.is_stripped,
        rate: head.settings.rate.map(|rate| u64::from(rate.lines)),
        now: head.now,
        size_max: before.size_max,
    };
    let stop = match head.kind {
        Kind::Output => {
            let (taken, stop) = fill(rest, &mut page, &mut flow, &how);
            at += taken;
            stop
        }
        Kind::Note => {
            if !rest.is_empty() {
                let text = rest.get(..NOTE_MAX).unwrap_or(rest);
                page.put_note(note_stamp.bytes(), &String::from_utf8_lossy(text));
            }
            at = input.len();
            Stop::Taken
        }
        Kind::End => Stop::Taken,
    };
    (page.length(), Progress { at, is_done: stop == Stop::Taken, flow, ino }, stop)
}

/// The same for output that needs nothing added and nothing left out: how much of
/// `input` can be written as it is. Nothing if it is not that easy, here.
pub fn pass_on(
    head: &Head,
    input: &[u8],
    progress: &Progress,
    before: Before,
) -> Option<(usize, Progress, Stop)> {
    let Progress { mut at, mut flow, ino, .. } = *progress;
    if before.is_at_start || !before.is_own {
        flow.column = 0;
    }
    let is_quiet = flow.skipping == Skipping::No && flow.lost.is_none() && flow.limited.is_none();
    let is_in_place = before.is_at_start || flow.column > 0;
    if !head.is_plain() || !is_quiet || !is_in_place {
        return None;
    }
    let rest = input.get(at..).unwrap_or_default();
    let (length, stop) = pass(rest, &mut flow, before.size, before.size_max);
    if length == 0 && stop == Stop::Full {
        return None;
    }
    at += length;
    Some((length, Progress { at, is_done: stop == Stop::Taken, flow, ino }, stop))
}

/// Says what was left out, and why.
fn tell_losses(head: &Head, stamp: &[u8], page: &mut Page, flow: &mut Flow) {
    if !flow.lost.is_none() {
        page.put_note(stamp, &flow.lost.tell(&reason(flow.errno)));
        flow.lost = Default::default();
    }
    let limited = match head.kind {
        Kind::End => Some(std::mem::take(&mut flow.limited)).filter(|loss| !loss.is_none()),
        Kind::Output | Kind::Note => flow.end_period(head.now, head.settings.period()),
    };
    if let Some((loss, rate)) = limited.zip(head.settings.rate) {
        let within = rate.within.as_millis();
        let why = format!("more than {} lines in {within} ms", rate.lines);
        page.put_note(stamp, &loss.tell(&why));
    }
}

/// The time before lines, if there is one, and before what we say ourselves,
/// where there always is one.
struct Stamps {
    stamp: Stamp,
    note_stamp: Stamp,
}

impl Stamps {
    fn of(head: &Head) -> Stamps {
        let timestamps = head.settings.timestamps;
        if timestamps == Timestamps::No {
            let time = Time { millis: head.millis, offset: None };
            return Stamps { stamp: Stamp::NONE, note_stamp: Stamp::of(time) };
        }
        let stamp = Stamp::of(clock::time(head.millis, timestamps));
        Stamps { stamp, note_stamp: stamp }
    }
}
