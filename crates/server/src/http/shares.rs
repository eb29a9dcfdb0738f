//! Fair shares of a limited number of places, so that no caller takes all of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::http::source::Source;

/// A site may hold this many times as many places as are free.
const SITE_SHARE: usize = 3;

/// The places of one kind, and how many of them each source and site holds.
///
/// A source may hold as many places as are free, and a site three times as many. One source alone therefore gets half
/// of the places and one site three quarters. It takes seven sites to hold all of 64.
#[derive(Debug)]
pub(super) struct Shares {
    most: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    count: usize,
    by_source: HashMap<Source, usize>,
    by_site: HashMap<Source, usize>,
}

impl Shares {
    pub fn new(most: usize) -> Self {
        Self { most, held: Mutex::default() }
    }

    /// Takes a place. Returns false if none is free, or the source or its site holds its share.
    pub(super) fn enter(&self, source: Source) -> bool {
        let site = source.site();
        let mut held = self.held();
        let free = self.most - held.count;
        let may_enter = count(&held.by_source, source) < free && count(&held.by_site, site) < SITE_SHARE * free;
        if may_enter {
            held.count += 1;
            *held.by_source.entry(source).or_default() += 1;
            *held.by_site.entry(site).or_default() += 1;
        }
        may_enter
    }

    /// Releases a place that the source holds.
    pub(super) fn leave(&self, source: Source) {
        let mut held = self.held();
        held.count -= 1;
        decrement(&mut held.by_source, source);
        decrement(&mut held.by_site, source.site());
    }

    /// Returns how many places are held.
    pub(super) fn count(&self) -> usize {
        self.held().count
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(counts: &HashMap<Source, usize>, source: Source) -> usize {
    counts.get(&source).copied().unwrap_or_default()
}

fn decrement(counts: &mut HashMap<Source, usize>, source: Source) {
    if let Some(count) = counts.get_mut(&source) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enters until refused. Returns how many times that worked.
    fn enter_all(shares: &Shares, address: &str) -> usize {
        let source = Source::of(address.parse().expect("an address"));
        std::iter::repeat_with(|| shares.enter(source)).take_while(|entered| *entered).count()
    }

    #[test]
    fn neither_one_source_nor_one_site_takes_all_places() {
        let shares = Shares::new(64);
        assert_eq!(enter_all(&shares, "2001:db8:0:1::1"), 32);
        assert_eq!(enter_all(&shares, "2001:db8:0:1::2"), 0, "the same /64");
        let of_site: usize = (2..100).map(|net| enter_all(&shares, &format!("2001:db8:0:{net}::1"))).sum();
        assert_eq!(of_site, 16);
        assert_eq!(enter_all(&shares, "192.0.2.1"), 8);
        assert_eq!(enter_all(&shares, "198.51.100.1"), 4);
        assert_eq!(shares.count(), 60);
    }

    #[test]
    fn a_released_place_is_free_again() {
        let shares = Shares::new(1);
        let source = Source::of([192, 0, 2, 1].into());
        assert!(shares.enter(source) && !shares.enter(source));
        shares.leave(source);
        assert!(shares.enter(source) && shares.count() == 1);
        shares.leave(source);
        assert_eq!(shares.count(), 0);
        assert!(shares.held().by_source.is_empty() && shares.held().by_site.is_empty());
    }
}
