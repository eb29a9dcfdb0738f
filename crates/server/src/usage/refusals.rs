//! Refusals by request ID. Memory holds the most recent ones, the database some of each kind.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_store::{RefusalCount, StoredRefusal};

/// The number of refusals in memory. The oldest are dropped.
const MAX_REMEMBERED: usize = 10_000;
/// The number of refusals per client, reason and minute that are stored in full. Others are only counted.
const MAX_STORED_OF_A_KIND: u32 = 20;
/// The number of refusals stored in full at a time, so that a flood of many kinds does not fill the disk.
const MAX_STORED_AT_ONCE: usize = 200;

/// The number of counts that wait to be stored, in case the database is unavailable for long.
const MAX_COUNTS: usize = 10_000;

/// Recent refusals, and those not stored yet.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    last: VecDeque<Arc<StoredRefusal>>,
    by_request: HashMap<String, Arc<StoredRefusal>>,
    minute: i64,
    kinds: HashMap<Kind, u32>,
    to_store: Vec<Arc<StoredRefusal>>,
    to_count: HashMap<(i64, Kind), i64>,
}

/// All unknown clients count as one.
type Kind = (Option<String>, String);

impl Refusals {
    /// Records a refusal whose reason has this name.
    pub(crate) fn record(&self, refusal: StoredRefusal, name: String) {
        let mut remembered = self.lock();
        let minute = refusal.at.div_euclid(60);
        if remembered.minute != minute {
            remembered.minute = minute;
            remembered.kinds.clear();
        }
        let kind = (refusal.client_id.clone(), name);
        let refusal = Arc::new(refusal);
        remembered.remember(&refusal);
        let stored = remembered.kinds.get(&kind).copied().unwrap_or_default();
        if stored < MAX_STORED_OF_A_KIND && remembered.to_store.len() < MAX_STORED_AT_ONCE {
            remembered.kinds.insert(kind, stored + 1);
            remembered.to_store.push(refusal);
        } else {
            *remembered.to_count.entry((minute * 60, kind)).or_default() += 1;
        }
    }

    /// Finds the refusal of a request, if it is still in memory.
    pub(crate) fn find(&self, request_id: &str) -> Option<Arc<StoredRefusal>> {
        self.lock().by_request.get(request_id).cloned()
    }

    /// Takes the refusals and counts to store.
    pub(crate) fn take(&self) -> (Vec<Arc<StoredRefusal>>, Vec<RefusalCount>) {
        let mut remembered = self.lock();
        let counts = std::mem::take(&mut remembered.to_count).into_iter();
        let count = |((minute, (client_id, name)), count): ((i64, Kind), i64)| RefusalCount {
            minute,
            client_id: client_id.unwrap_or_default(),
            name,
            count,
        };
        (std::mem::take(&mut remembered.to_store), counts.map(count).collect())
    }

    /// Takes back what could not be stored, as far as there is room, to store it later.
    pub(crate) fn give_back(&self, refusals: Vec<Arc<StoredRefusal>>, counts: Vec<RefusalCount>) {
        let mut remembered = self.lock();
        let later = std::mem::replace(&mut remembered.to_store, refusals);
        remembered.to_store.extend(later);
        remembered.to_store.truncate(MAX_STORED_AT_ONCE);
        for RefusalCount { minute, client_id, name, count } in counts {
            let key = (minute, ((!client_id.is_empty()).then_some(client_id), name));
            if remembered.to_count.len() < MAX_COUNTS || remembered.to_count.contains_key(&key) {
                *remembered.to_count.entry(key).or_default() += count;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    fn remember(&mut self, refusal: &Arc<StoredRefusal>) {
        if self.last.len() >= MAX_REMEMBERED
            && let Some(oldest) = self.last.pop_front()
            // If a proxy sends an ID twice, the later refusal stays.
            && self.by_request.get(&oldest.request_id).is_some_and(|known| Arc::ptr_eq(known, &oldest))
        {
            self.by_request.remove(&oldest.request_id);
        }
        self.last.push_back(refusal.clone());
        self.by_request.insert(refusal.request_id.clone(), refusal.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(number: usize, client: Option<&str>) -> StoredRefusal {
        StoredRefusal {
            request_id: format!("r{number}"),
            at: 600,
            endpoint: "token".into(),
            client_id: client.map(str::to_owned),
            address: "192.0.2.1".to_owned(),
            error: "invalid_client".into(),
            reason: "x".to_owned(),
            remedy: "y".into(),
            presented: "{}".into(),
        }
    }

    #[test]
    fn recent_refusals_are_kept_and_twenty_per_kind_and_minute_stored() {
        let refusals = Refusals::default();
        for number in 0..MAX_REMEMBERED + 5 {
            refusals.record(refusal(number, None), "UnknownClient".to_owned());
        }
        assert!(refusals.find("r4").is_none() && refusals.find("r5").is_some());
        let (stored, counts) = refusals.take();
        assert_eq!((stored.len(), counts.len(), counts[0].count), (20, 1, 9_985));
        assert_eq!(
            (counts[0].minute, counts[0].client_id.as_str(), counts[0].name.as_str()),
            (600, "", "UnknownClient")
        );
        refusals.record(StoredRefusal { at: 660, ..refusal(7, Some("job")) }, "WrongSecret".to_owned());
        assert_eq!(refusals.take().0.len(), 1);
        assert_eq!(refusals.take().0.len(), 0);
    }
}
