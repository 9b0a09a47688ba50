//! Which services come before which: what a file asks for, and what is wrong with
//! what all of them ask for together.

use std::ops::Deref;

use super::grammar::{blank_separated, show};
use super::instances::{is_of, is_template};
use super::names::{self, Name};
use super::values::{Choices, wrong};

/// The place of one service among all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Those that must be ready before it is started.
    pub needs: Vec<Box<str>>,
    /// Those that it waits for if they are on their way up.
    pub after: Vec<Box<str>>,
    /// The lower, the earlier.
    pub priority: u16,
    /// What becomes of it when one of those that it needs is ready anew.
    pub on_need: OnNeed,
}

/// What is done when a need was restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNeed {
    /// Nothing.
    Nothing,
    /// It gets its `reload-signal`.
    Reload,
    /// It is restarted.
    Restart,
}

/// `on-need-restart=`
pub const ON_NEEDS: &Choices<OnNeed> =
    &[("nothing", OnNeed::Nothing), ("reload", OnNeed::Reload), ("restart", OnNeed::Restart)];

/// Of those that do not say.
pub const USUAL_PRIORITY: u16 = 100;

/// The last of all.
pub const PRIORITY_MAX: u16 = 999;

/// More of them are a mistake, or work for a template.
const NAMES_MAX: usize = 64;

static USUAL: Order = Order {
    needs: Vec::new(),
    after: Vec::new(),
    priority: USUAL_PRIORITY,
    on_need: OnNeed::Nothing,
};

/// It takes no room where nothing of it is asked for.
#[derive(Debug, Clone, Default)]
pub struct HeldOrder(Option<Box<Order>>);

impl HeldOrder {
    /// To be changed.
    pub fn make(&mut self) -> &mut Order {
        self.0.get_or_insert_with(|| Box::new(USUAL.clone()))
    }

    /// Whether nothing was asked for.
    pub fn is_usual(&self) -> bool {
        self.0.is_none()
    }
}

impl Deref for HeldOrder {
    type Target = Order;

    fn deref(&self) -> &Order {
        self.0.as_deref().unwrap_or(&USUAL)
    }
}

impl PartialEq for HeldOrder {
    fn eq(&self, other: &HeldOrder) -> bool {
        **self == **other
    }
}

impl Eq for HeldOrder {}

/// Some names more.
pub fn add_names(names: &mut Vec<Box<str>>, value: &str) -> Result<(), String> {
    for word in blank_separated(value) {
        match names::judge(word.as_bytes()) {
            Name::Service | Name::Template => {}
            Name::Refused(why) => return Err(format!("has {}: {why}", show(word))),
            Name::Skip | Name::TooLong => {
                return Err(wrong(word, "the name of a service, or of a template as NAME@"));
            }
        }
        if !names.iter().any(|it| **it == *word) {
            names.push(word.into());
        }
    }
    if names.len() > NAMES_MAX {
        return Err(format!("has too many names (max: {NAMES_MAX})"));
    }
    Ok(())
}

/// The canonical form of them.
pub fn show_names(names: &[Box<str>]) -> String {
    names.join(" ")
}

/// A number from 0 to [`PRIORITY_MAX`].
pub fn read_priority(value: &str) -> Result<u16, &'static str> {
    let number = value.parse().ok().filter(|it| *it <= PRIORITY_MAX);
    number.ok_or("a number from 0, which is first, to 999")
}

/// Whether a name of `needs` or `after` means this service.
pub fn is_meant(name: &str, service: &str) -> bool {
    name == service || is_template(name) && is_of(service, name)
}

/// What is wrong with a service's place among all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misplaced {
    /// It needs one that does not exist.
    Missing(String),
    /// Each of these waits for the next one, and the last for the first.
    Circle(Vec<String>),
}

/// A service and its place.
pub type Placed<'a> = (&'a str, &'a Order);

/// All that is wrong, with the service of whose file it is; `all` is in the order of
/// the names. A circle is told of its first one only.
pub fn misplaced(all: &[Placed]) -> Vec<(String, Misplaced)> {
    let mut found = Vec::new();
    let edges: Vec<Vec<usize>> = all
        .iter()
        .map(|(name, order)| {
            let mut edges = Vec::new();
            for need in &order.needs {
                let count = edges.len();
                edges.extend(meant(all, need));
                if edges.len() == count {
                    found.push(((*name).to_owned(), Misplaced::Missing(need.to_string())));
                }
            }
            edges.extend(order.after.iter().flat_map(|it| meant(all, it)));
            edges
        })
        .collect();
    let mut is_done = vec![false; all.len()];
    for start in 0..all.len() {
        if let Some(circle) = circle(start, &edges, &mut is_done) {
            let name = |index: &usize| all.get(*index).map_or("", |it| it.0).to_owned();
            let names: Vec<_> = circle.iter().map(name).collect();
            found.push((names.first().cloned().unwrap_or_default(), Misplaced::Circle(names)));
        }
    }
    found
}

/// Those of all that a name means.
fn meant<'a>(all: &'a [Placed], name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let first = all.partition_point(|it| it.0 < name);
    let rest = all.iter().enumerate().skip(first);
    let near = rest.take_while(move |(_, it)| it.0.starts_with(name));
    near.filter(move |(_, it)| is_meant(name, it.0)).map(|(index, _)| index)
}

/// A circle that is reached from `start` and was not seen before. What is done with is
/// marked.
fn circle(start: usize, edges: &[Vec<usize>], is_done: &mut [bool]) -> Option<Vec<usize>> {
    let mut found = None;
    // Those on the way from the start, and which edge of each is next.
    let mut way = vec![(start, 0)];
    while let Some((at, next)) = way.last_mut() {
        let at = *at;
        if is_done.get(at).copied().unwrap_or(true) {
            way.pop();
            continue;
        }
        let Some(&to) = edges.get(at).and_then(|it| it.get(*next)) else {
            if let Some(it) = is_done.get_mut(at) {
                *it = true;
            }
            way.pop();
            continue;
        };
        *next += 1;
        match way.iter().position(|(it, _)| *it == to) {
            Some(first) if found.is_none() => {
                found = Some(way.iter().skip(first).map(|(it, _)| *it).collect());
            }
            Some(_) => {}
            None => way.push((to, 0)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(needs: &str, after: &str) -> Order {
        let mut order = USUAL.clone();
        add_names(&mut order.needs, needs).unwrap();
        add_names(&mut order.after, after).unwrap();
        order
    }

    fn told(files: &[(&str, &str, &str)]) -> Vec<(String, Misplaced)> {
        let orders: Vec<_> = files.iter().map(|it| (it.0, order(it.1, it.2))).collect();
        misplaced(&orders.iter().map(|(name, order)| (*name, order)).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_in_order_is_not_told() {
        let files = [
            ("a", "", "c nobody"),
            ("b", "a w@", ""),
            ("c", "", ""),
            ("w@1", "a", ""),
            ("w@2", "a c", ""),
        ];
        assert_eq!(told(&files), []);
    }

    #[test]
    fn who_is_missing_is_told() {
        let missing = |it: &str| Misplaced::Missing(it.to_owned());
        assert_eq!(
            told(&[("a", "x b", ""), ("b", "w@ aa", ""), ("w", "", "")]),
            [
                ("a".to_owned(), missing("x")),
                ("b".to_owned(), missing("w@")),
                ("b".to_owned(), missing("aa"))
            ]
        );
    }

    #[test]
    fn each_circle_is_told_once() {
        let circle = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|it| (*it).to_owned()).collect();
            (names[0].clone(), Misplaced::Circle(names))
        };
        let files = [
            ("a", "b", ""),
            ("b", "", "c"),
            ("c", "b d", ""),
            ("d", "", ""),
            ("e", "e", ""),
            ("f", "c", ""),
            ("g", "h", ""),
            ("h", "i", ""),
            ("i", "", "g"),
        ];
        assert_eq!(told(&files), [circle(&["b", "c"]), circle(&["e"]), circle(&["g", "h", "i"])]);
    }

    #[test]
    fn a_long_way_takes_little_time_and_stack() {
        let names: Vec<_> = (0..20_000).map(|it| format!("s{it:05}")).collect();
        let orders: Vec<_> =
            (0..20_000).map(|it| order(names.get(it + 1).map_or("", String::as_str), "")).collect();
        let all: Vec<_> = names.iter().map(String::as_str).zip(&orders).collect();
        assert_eq!(misplaced(&all), []);
    }
}
