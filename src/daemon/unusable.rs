//! What is wrong with files that cannot be used. They are few, so that a list will do.

/// Complaints by the name of the service, or of nobody when they are about the
/// directory.
#[derive(Default)]
pub(super) struct Unusable(Vec<(String, String)>);

impl Unusable {
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(it, _)| it.as_str().cmp(name))
    }

    /// What is wrong with the file of this one, a line each.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let place = self.place(name).ok()?;
        self.0.get(place).map(|(_, lines)| lines.as_str())
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// All of them, in the order of their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> + Clone {
        self.0.iter().map(|(name, _)| name)
    }

    pub(super) fn insert(&mut self, name: String, lines: String) {
        match self.place(&name) {
            Ok(place) => {
                if let Some(entry) = self.0.get_mut(place) {
                    entry.1 = lines;
                }
            }
            Err(place) => self.0.insert(place, (name, lines)),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(it, _)| it != name);
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| is_kept(name));
    }
}
