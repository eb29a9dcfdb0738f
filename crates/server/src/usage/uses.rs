//! The uses of credentials, and the tokens issued for them. They are collected in memory and stored periodically.
//!
//! Every token updates an entry here. Its data is in one place, because with 10,000 clients every pointer is a cache miss.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::AtomicI64;

use countersign_protocol::UnixTime;
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::ids::{ApiId, ClientId};
use countersign_store::{CredentialUse, TokenCount};

use crate::per_thread::PerThread;

/// Tokens are counted per hour.
pub(crate) const HOUR_S: i64 = 3600;

/// The uses since the last flush. A crash loses at most these.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    hashers: [RandomState; 2],
    gathered: PerThread<Gathered>,
    /// Until then, the uses are not stored again, in milliseconds of the monotonic clock.
    pub(crate) rest_until_ms: AtomicI64,
}

/// Entries by a 128-bit hash with keys of this process, so that no IDs need to be compared.
pub(crate) type Gathered = HashMap<u128, Use, BuildHasherDefault<Hashed>>;

/// A use of a credential.
#[derive(Clone, Copy)]
pub(crate) struct Used<'u> {
    /// The client.
    pub(crate) client: &'u ClientId,
    /// The credential.
    pub(crate) credential_id: &'u str,
    /// The caller's address.
    pub(crate) address: IpAddr,
}

/// The uses of one credential.
#[derive(Debug)]
pub(crate) struct Use {
    last_used_at: UnixTime,
    count: i64,
    address: IpAddr,
    tokens: Counted,
    /// Tokens of another hour, API or grant than `tokens`.
    others: Vec<Counted>,
    client: ClientId,
    credential_id: Box<str>,
}

/// Tokens of one hour, API and grant.
#[derive(Clone, Debug)]
struct Counted {
    hour: UnixTime,
    api: Option<ApiId>,
    grant_type: GrantType,
    tokens: i64,
}

impl Uses {
    /// Records a use.
    pub(crate) fn record(&self, used: Used<'_>, now: UnixTime) {
        let mut gathered = self.gathered.own();
        let known = self.find_or_insert(&mut gathered, used);
        (known.last_used_at, known.address) = (now, used.address);
        known.count += 1;
    }

    /// Counts a token, in addition to its use.
    pub(crate) fn count_token(&self, used: Used<'_>, api: &ApiId, grant_type: GrantType, now: UnixTime) {
        let mut gathered = self.gathered.own();
        let known = self.find_or_insert(&mut gathered, used);
        // A flush may have happened in between.
        known.last_used_at = known.last_used_at.max(now);
        known.add(Counted { hour: now - now.rem_euclid(HOUR_S), api: Some(api.clone()), grant_type, tokens: 1 });
    }

    /// Adds what is not stored yet to the stored uses of a credential.
    pub(crate) fn add_to(&self, credential_id: &str, stored: Option<CredentialUse>) -> Option<CredentialUse> {
        let key = self.key(credential_id);
        let own = self.gathered.all().filter_map(|part| part.get(&key).map(Use::to_use));
        own.chain(stored).reduce(|one, other| {
            let count = one.count + other.count;
            let later = if other.last_used_at > one.last_used_at { other } else { one };
            CredentialUse { count, ..later }
        })
    }

    /// Takes everything, to store it.
    pub(crate) fn take(&self) -> Gathered {
        let mut all = Gathered::default();
        for mut part in self.gathered.all() {
            // Expect as many entries again.
            let empty = Gathered::with_capacity_and_hasher(part.len(), BuildHasherDefault::default());
            let taken = std::mem::replace(&mut *part, empty);
            drop(part);
            if all.is_empty() { all = taken } else { merge(&mut all, taken) }
        }
        all
    }

    /// Takes back what could not be stored.
    pub(crate) fn give_back(&self, taken: Gathered) {
        merge(&mut self.gathered.own(), taken);
    }

    fn find_or_insert<'g>(&self, gathered: &'g mut Gathered, used: Used<'_>) -> &'g mut Use {
        gathered.entry(self.key(used.credential_id)).or_insert_with(|| Use {
            last_used_at: 0,
            count: 0,
            address: used.address,
            tokens: Counted { hour: 0, api: None, grant_type: GrantType::ClientCredentials, tokens: 0 },
            others: Vec::new(),
            client: used.client.clone(),
            credential_id: used.credential_id.into(),
        })
    }

    fn key(&self, credential_id: &str) -> u128 {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(credential_id)));
        high << 64 | low
    }
}

impl Use {
    fn add(&mut self, more: Counted) {
        let is_same = |one: &Counted| one.hour == more.hour && one.grant_type == more.grant_type && one.api == more.api;
        if is_same(&self.tokens) {
            self.tokens.tokens += more.tokens;
        } else if self.tokens.api.is_none() {
            self.tokens = more;
        } else if let Some(known) = self.others.iter_mut().find(|one| is_same(one)) {
            known.tokens += more.tokens;
        } else {
            self.others.push(more);
        }
    }

    fn merge(&mut self, other: Self) {
        if other.last_used_at > self.last_used_at {
            (self.last_used_at, self.address) = (other.last_used_at, other.address);
        }
        self.count += other.count;
        std::iter::once(other.tokens).chain(other.others).filter(|one| one.tokens > 0).for_each(|one| self.add(one));
    }

    /// Converts the use for the store.
    pub(crate) fn to_use(&self) -> CredentialUse {
        CredentialUse {
            credential_id: self.credential_id.to_string(),
            last_used_at: self.last_used_at,
            count: self.count,
            address: self.address.to_string(),
        }
    }

    /// Converts the token counts for the store.
    pub(crate) fn to_counts(&self) -> impl Iterator<Item = TokenCount> {
        let all = std::iter::once(&self.tokens).chain(&self.others);
        all.filter_map(|one| {
            Some(TokenCount {
                hour: one.hour,
                client_id: self.client.to_string(),
                credential_id: self.credential_id.to_string(),
                api_id: one.api.as_ref()?.to_string(),
                grant_type: one.grant_type.as_str().to_owned(),
                tokens: one.tokens,
            })
        })
    }
}

/// Merges two collections.
fn merge(into: &mut Gathered, more: Gathered) {
    for (key, more) in more {
        match into.entry(key) {
            Entry::Occupied(mut known) => known.get_mut().merge(more),
            Entry::Vacant(place) => drop(place.insert(more)),
        }
    }
}

/// A hasher for keys that are already hashes.
#[derive(Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keeps the last eight bytes. A `u128` is written at once.
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used<'u>(client: &'u ClientId, last: u8) -> Used<'u> {
        Used { client, credential_id: "c", address: IpAddr::from([192, 0, 2, last]) }
    }

    #[test]
    fn uses_are_added_to_the_stored_ones_and_the_later_one_sets_the_address() {
        let (uses, client) = (Uses::default(), ClientId::parse("job").expect("an id"));
        assert!(uses.add_to("c", None).is_none());
        uses.record(used(&client, 1), 10);
        uses.record(used(&client, 2), 20);
        let stored = |last_used_at| CredentialUse {
            credential_id: "c".to_owned(),
            last_used_at,
            count: 5,
            address: "192.0.2.9".to_owned(),
        };
        let seen = |found: Option<CredentialUse>| found.map(|it| (it.last_used_at, it.count, it.address));
        assert_eq!(seen(uses.add_to("c", None)), Some((20, 2, "192.0.2.2".to_owned())));
        assert_eq!(seen(uses.add_to("c", Some(stored(15)))), Some((20, 7, "192.0.2.2".to_owned())));
        assert_eq!(seen(uses.add_to("c", Some(stored(25)))), Some((25, 7, "192.0.2.9".to_owned())));
        let taken = uses.take();
        assert!(uses.take().is_empty());
        uses.record(used(&client, 3), 30);
        uses.give_back(taken);
        assert_eq!(seen(uses.add_to("c", None)), Some((30, 3, "192.0.2.3".to_owned())));
    }

    #[test]
    fn the_counts_of_all_threads_add_up() {
        let (uses, client) = (Uses::default(), ClientId::parse("job").expect("an id"));
        let api = ApiId::parse("billing").expect("an id");
        std::thread::scope(|threads| {
            for last in [1, 2] {
                let (uses, client, api) = (&uses, &client, &api);
                threads.spawn(move || {
                    uses.record(used(client, last), 10 * i64::from(last));
                    uses.count_token(used(client, last), api, GrantType::ClientCredentials, 7200);
                });
            }
        });
        uses.record(used(&client, 3), 5);
        let seen = |found: Option<CredentialUse>| found.map(|it| (it.count, it.address));
        assert_eq!(seen(uses.add_to("c", None)).map(|(count, _)| count), Some(3));
        let taken = uses.take();
        assert_eq!(taken.values().flat_map(Use::to_counts).map(|one| one.tokens).collect::<Vec<_>>(), [2]);
        assert!(uses.take().is_empty());
    }

    #[test]
    fn tokens_that_could_not_be_stored_are_added_to_newer_ones() {
        let (uses, client) = (Uses::default(), ClientId::parse("job").expect("an id"));
        let apis = ["billing", "other"].map(|id| ApiId::parse(id).expect("an id"));
        let count = |api, now| uses.count_token(used(&client, 1), api, GrantType::ClientCredentials, now);
        for _ in 0..3 {
            count(&apis[0], 7200);
            let taken = uses.take();
            count(&apis[0], 7201);
            count(&apis[1], 7202);
            uses.give_back(taken);
        }
        count(&apis[0], 10_800);
        let taken = uses.take();
        let counts = taken.values().flat_map(Use::to_counts);
        let mut seen: Vec<_> = counts.map(|one| (one.hour, one.api_id, one.tokens)).collect();
        seen.sort();
        let expected = [(7200, "billing", 6), (7200, "other", 3), (10_800, "billing", 1)];
        assert_eq!(seen, expected.map(|(hour, api, tokens)| (hour, api.to_owned(), tokens)));
    }
}
