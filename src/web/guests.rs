//! Who is connected, and how often. Nobody may have more connections than are
//! left for everybody else: whoever comes from one address gets half of them, two
//! get two thirds, and there is always one for somebody new.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whom we take for one and the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// Those on this machine, through the network; it has a whole net of
    /// addresses for itself.
    Here,
    /// An address of other machines; of IPv6 the half which a provider gives out.
    Afar(u64),
    /// A user on this machine, through a file.
    User(u32),
}

impl Who {
    /// Who has this address.
    pub fn at(address: IpAddr) -> Who {
        match address.to_canonical() {
            it if it.is_loopback() => Who::Here,
            IpAddr::V4(it) => Who::Afar(u64::from(it.to_bits())),
            // No net of IPv6 that is given out is among the first 2^32.
            IpAddr::V6(it) => Who::Afar(u64::try_from(it.to_bits() >> 64).unwrap_or(0)),
        }
    }
}

/// Those who are there.
#[derive(Debug)]
pub struct Guests {
    most: usize,
    here: Mutex<Here>,
}

#[derive(Debug, Default)]
struct Here {
    all: usize,
    /// Only those who are there.
    each: HashMap<Who, usize>,
}

impl Guests {
    /// Room for so many.
    pub fn new(most: usize) -> Guests {
        Guests { most, here: Mutex::default() }
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more, until it is dropped; nothing if there is none for
    /// them.
    pub fn come(&self, who: Who) -> Option<Guest<'_>> {
        let mut here = self.here();
        let theirs = here.each.get(&who).copied().unwrap_or(0);
        if theirs >= self.most.saturating_sub(here.all) {
            return None;
        }
        here.all += 1;
        here.each.insert(who, theirs + 1);
        Some(Guest { guests: self, who })
    }
}

/// One of them.
#[derive(Debug)]
pub struct Guest<'a> {
    guests: &'a Guests,
    who: Who,
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let mut here = self.guests.here();
        here.all = here.all.saturating_sub(1);
        if let Some(theirs) = here.each.get_mut(&self.who) {
            *theirs = theirs.saturating_sub(1);
            if *theirs == 0 {
                here.each.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_is_left_for_others() {
        let guests = Guests::new(100);
        let come = |who| std::iter::from_fn(|| guests.come(who)).collect::<Vec<_>>();
        let first = come(Who::Here);
        assert_eq!(first.len(), 50);
        let second = come(Who::User(0));
        assert_eq!(second.len(), 25);
        assert_eq!(come(Who::Afar(1)).len(), 13);
        drop(first);
        assert_eq!(come(Who::Afar(1)).len(), 38);
        drop(second);
        let here = guests.here();
        assert_eq!((here.all, here.each.len()), (0, 0));
    }

    #[test]
    fn one_machine_is_one() {
        let who = |text: &str| Who::at(text.parse().unwrap());
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(who(here), Who::Here);
        }
        assert_eq!(who("10.0.0.1"), who("::ffff:10.0.0.1"));
        assert_ne!(who("10.0.0.1"), who("10.0.0.2"));
        assert_eq!(who("2001:db8:1:2::3"), who("2001:db8:1:2:4::5"));
        assert_ne!(who("2001:db8:1:2::3"), who("2001:db8:1:3::3"));
    }
}
