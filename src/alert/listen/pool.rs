//! Which listener gets which event, and what it says of it: supervisor's protocol,
//! without any of the processes. An event that was not taken goes back to the head of
//! the queue; where the queue is full, the oldest goes.

use std::collections::VecDeque;

/// What a listener says when it wants an event.
const READY: &[u8] = b"READY\n";
/// What it says before the length of its answer.
const RESULT: &[u8] = b"RESULT ";
/// Longer lines, or answers, are none.
const RESULT_MAX: usize = 64 * 1024;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is called.
    pub name: &'static str,
    /// All about it.
    pub payload: Vec<u8>,
    /// Its number; that in the pool is the same, for there is one.
    pub serial: u64,
}

/// How a listener is.
#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// It has not said that it is ready.
    #[default]
    Acknowledged,
    /// It waits for an event.
    Ready,
    /// It has one.
    Busy(Event),
    /// It said what nobody understands.
    Unknown,
}

#[derive(Debug, Default)]
struct Listener {
    state: State,
    /// What it said that is not complete.
    said: Vec<u8>,
    /// How long its answer will be, once it told.
    length: Option<usize>,
}

/// What came of what a listener said.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// It did not take this event.
    Rejected(&'static str),
    /// It said what nobody understands, and gets no more events.
    Nonsense,
}

/// Listeners that share their work.
#[derive(Debug)]
pub struct Pool {
    name: String,
    room: usize,
    queue: VecDeque<Event>,
    /// Of the next event.
    serial: u64,
    listeners: Vec<Listener>,
}

impl Pool {
    /// Of so many listeners, with room for so many events that wait.
    pub fn new(name: &str, listeners: usize, room: usize) -> Pool {
        Pool {
            name: name.to_owned(),
            room,
            queue: VecDeque::new(),
            serial: 0,
            listeners: (0..listeners).map(|_| Listener::default()).collect(),
        }
    }

    /// Something happened; the event which had to go for it.
    pub fn add(&mut self, name: &'static str, payload: Vec<u8>) -> Option<Event> {
        let event = Event { name, payload, serial: self.serial };
        self.serial = self.serial.saturating_add(1);
        let lost = self.make_room();
        self.queue.push_back(event);
        lost
    }

    fn make_room(&mut self) -> Option<Event> {
        if self.queue.len() >= self.room { self.queue.pop_front() } else { None }
    }

    /// Back to the head.
    fn give_back(&mut self, event: Event) -> Option<Event> {
        let lost = self.make_room();
        self.queue.push_front(event);
        lost
    }

    /// Whether nobody has anything to do.
    pub fn is_idle(&self) -> bool {
        let is_busy = |it: &Listener| matches!(it.state, State::Busy(_));
        self.queue.is_empty() && !self.listeners.iter().any(is_busy)
    }

    /// The next event for a listener that waits for one, as it is written.
    pub fn dispatch(&mut self) -> Option<(usize, Vec<u8>)> {
        let place = self.listeners.iter().position(|it| it.state == State::Ready)?;
        let listener = self.listeners.get_mut(place)?;
        let event = self.queue.pop_front()?;
        let mut text = format!(
            "ver:3.0 server:supervisor serial:{} pool:{} poolserial:{} eventname:{} len:{}\n",
            event.serial,
            self.name,
            event.serial,
            event.name,
            event.payload.len(),
        )
        .into_bytes();
        text.extend_from_slice(&event.payload);
        listener.state = State::Busy(event);
        Some((place, text))
    }

    /// A listener said this.
    pub fn hear(&mut self, place: usize, bytes: &[u8]) -> Option<Heard> {
        let listener = self.listeners.get_mut(place)?;
        if listener.state == State::Unknown {
            return None;
        }
        listener.said.extend_from_slice(bytes);
        let mut heard = None;
        while let Some(listener) = self.listeners.get_mut(place) {
            match listener.turn() {
                Turn::More => break,
                Turn::Done => {}
                Turn::Rejected(event) => {
                    heard = Some(Heard::Rejected(event.name));
                    self.give_back(event);
                }
                Turn::Nonsense => {
                    let was = std::mem::replace(&mut listener.state, State::Unknown);
                    listener.said.clear();
                    if let State::Busy(event) = was {
                        self.give_back(event);
                    }
                    return Some(Heard::Nonsense);
                }
            }
        }
        heard
    }

    /// A listener is gone; another one comes in its place. The event which it had.
    pub fn leave(&mut self, place: usize) -> Option<&'static str> {
        let listener = std::mem::take(self.listeners.get_mut(place)?);
        let State::Busy(event) = listener.state else { return None };
        let name = event.name;
        self.give_back(event);
        Some(name)
    }
}

/// What came of the next word.
enum Turn {
    /// It is not complete.
    More,
    /// It was as it must be.
    Done,
    /// The event was not taken.
    Rejected(Event),
    /// It was not.
    Nonsense,
}

impl Listener {
    fn turn(&mut self) -> Turn {
        if self.said.is_empty() {
            return Turn::More;
        }
        match &self.state {
            State::Acknowledged if self.said.starts_with(READY) => {
                self.said.drain(..READY.len());
                self.state = State::Ready;
                Turn::Done
            }
            State::Acknowledged if READY.starts_with(&self.said) => Turn::More,
            State::Busy(_) => self.answer(),
            // Whoever has no event has nothing to say.
            State::Acknowledged | State::Ready | State::Unknown => Turn::Nonsense,
        }
    }

    fn answer(&mut self) -> Turn {
        let Some(length) = self.length else {
            let Some(end) = self.said.iter().position(|byte| *byte == b'\n') else {
                return if self.said.len() > RESULT_MAX { Turn::Nonsense } else { Turn::More };
            };
            let line: Vec<u8> = self.said.drain(..=end).collect();
            let number = line.strip_prefix(RESULT).and_then(|it| std::str::from_utf8(it).ok());
            let number = number.and_then(|it| it.trim().parse::<usize>().ok());
            self.length = number.filter(|it| *it <= RESULT_MAX);
            return if self.length.is_some() { self.answer() } else { Turn::Nonsense };
        };
        if self.said.len() < length {
            return Turn::More;
        }
        let result: Vec<u8> = self.said.drain(..length).collect();
        self.length = None;
        if let State::Busy(event) = std::mem::take(&mut self.state) {
            if result != b"OK" {
                return Turn::Rejected(event);
            }
        }
        Turn::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pool: &mut Pool) -> Option<(usize, String)> {
        pool.dispatch().map(|(place, text)| (place, String::from_utf8(text).unwrap()))
    }

    #[test]
    fn an_event_is_written_as_supervisor_does() {
        let mut pool = Pool::new("lis", 1, 10);
        pool.add("TICK_5", b"when:1795232790".to_vec());
        assert_eq!(told(&mut pool), None, "nobody is ready");
        for byte in b"READY\n" {
            assert_eq!(pool.hear(0, &[*byte]), None);
        }
        let text = "ver:3.0 server:supervisor serial:0 pool:lis poolserial:0 \
                    eventname:TICK_5 len:15\nwhen:1795232790";
        assert_eq!(told(&mut pool), Some((0, text.to_owned())));
        for byte in b"RESULT 2\nOKREADY\n" {
            assert_eq!(pool.hear(0, &[*byte]), None);
        }
        assert!(pool.is_idle());
        // Bytes, not letters.
        pool.add("REMOTE_COMMUNICATION", "type:x\n\u{e9}".into());
        assert!(told(&mut pool).unwrap().1.ends_with(" len:9\ntype:x\n\u{e9}"));
    }

    #[test]
    fn what_is_not_taken_comes_again_before_all_others() {
        let mut pool = Pool::new("lis", 1, 10);
        pool.add("TICK_5", Vec::new());
        pool.add("TICK_60", Vec::new());
        pool.hear(0, b"READY\n");
        let first = told(&mut pool).unwrap();
        assert_eq!(pool.hear(0, b"RESULT 4\nFAILREADY\n"), Some(Heard::Rejected("TICK_5")));
        assert_eq!(told(&mut pool).unwrap(), first, "with its number");
        assert_eq!(pool.leave(0), Some("TICK_5"));
        assert_eq!(told(&mut pool), None, "the next one has not said that it is ready");
        pool.hear(0, b"READY\n");
        assert_eq!(told(&mut pool).unwrap(), first);
        pool.hear(0, b"RESULT 2\nOK");
        assert_eq!(pool.leave(0), None);
    }

    #[test]
    fn free_listeners_share_the_work_and_nonsense_ends_it() {
        let mut pool = Pool::new("lis", 3, 10);
        for name in ["TICK_5", "TICK_60", "TICK_3600"] {
            pool.add(name, Vec::new());
        }
        pool.hear(2, b"READY\n");
        pool.hear(1, b"READY\n");
        assert_eq!(told(&mut pool).unwrap().0, 1);
        assert_eq!(told(&mut pool).unwrap().0, 2);
        assert_eq!(told(&mut pool), None);
        assert_eq!(pool.hear(1, b"hello\n"), Some(Heard::Nonsense));
        assert_eq!(pool.hear(1, b"READY\n"), None, "it is not heard any more");
        pool.hear(0, b"READY\n");
        let (place, text) = told(&mut pool).unwrap();
        assert!(place == 0 && text.contains("eventname:TICK_5 "));
        assert_eq!(pool.hear(2, b"RESULT x\n"), Some(Heard::Nonsense));
        for word in [&b"READY\nX"[..], b"READ\n", b"ready\n"] {
            pool.leave(1);
            assert_eq!(pool.hear(1, word), Some(Heard::Nonsense));
        }
    }

    #[test]
    fn where_there_is_no_room_the_oldest_goes() {
        let mut pool = Pool::new("lis", 1, 2);
        assert_eq!(pool.add("TICK_5", Vec::new()), None);
        assert_eq!(pool.add("TICK_60", Vec::new()), None);
        assert_eq!(pool.add("TICK_3600", Vec::new()).unwrap().name, "TICK_5");
        pool.hear(0, b"READY\n");
        assert!(told(&mut pool).unwrap().1.contains("serial:1 "));
    }
}
