//! A bounded map that forgets what was not used for longest.

use std::collections::HashMap;
use std::hash::Hash;

pub(crate) struct Cache<K, V> {
    entries: HashMap<K, (u64, V)>,
    clock: u64,
    capacity: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), clock: 0, capacity }
    }

    /// The value for `key`, made by `make` if it is not there.
    pub(crate) fn get_or_make<E>(&mut self, key: &K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        self.clock += 1;
        if let Some((used, value)) = self.entries.get_mut(key) {
            *used = self.clock;
            return Ok(value.clone());
        }
        let value = make()?;
        if self.entries.len() >= self.capacity {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.entries.remove(&key));
        }
        self.entries.insert(key.clone(), (self.clock, value.clone()));
        Ok(value)
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_goes_first() {
        let mut cache = Cache::new(2);
        let mut made = Vec::new();
        for key in [1, 2, 1, 3, 1, 2] {
            let value: Result<i32, ()> = cache.get_or_make(&key, || {
                made.push(key);
                Ok(10 * key)
            });
            assert_eq!(value, Ok(10 * key));
        }
        assert_eq!(made, [1, 2, 3, 2]);
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.get_or_make(&9, || Err("no")), Err("no"));
        assert_eq!(cache.len(), 2);
    }
}
