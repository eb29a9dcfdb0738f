//! When each credential was last used, from where, and for which tokens: gathered in memory, flushed now and then.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_protocol::UnixTime;
use countersign_protocol::api::ApiId;
use countersign_protocol::client::ClientId;
use countersign_protocol::grant::GrantType;
use countersign_store::{CredentialUse, TokenCount};

const HOUR_S: i64 = 3600;

/// What was gathered since the last flush. A kill loses at most that.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    credentials: Mutex<HashMap<String, Gathered>>,
    tokens: Mutex<HashMap<ClientId, Vec<Counted>>>,
}

/// Tokens of one hour, credential, Api and grant; a client has few of them between two flushes.
#[derive(Clone, Debug)]
struct Counted {
    hour: UnixTime,
    credential_id: String,
    api_id: ApiId,
    grant_type: GrantType,
    tokens: i64,
}

#[derive(Clone, Copy, Debug)]
struct Gathered {
    last_used_at: UnixTime,
    count: i64,
    address: IpAddr,
}

impl Uses {
    /// Notes one use.
    pub(crate) fn record(&self, credential_id: &str, address: IpAddr, now: UnixTime) {
        let mut uses = self.lock();
        match uses.get_mut(credential_id) {
            Some(known) => *known = Gathered { last_used_at: now, count: known.count + 1, address },
            None => {
                uses.insert(credential_id.to_owned(), Gathered { last_used_at: now, count: 1, address });
            }
        }
    }

    /// Counts a token.
    pub(crate) fn count_token(
        &self,
        client: &ClientId,
        credential_id: &str,
        api: &ApiId,
        grant_type: GrantType,
        now: UnixTime,
    ) {
        let hour = now - now.rem_euclid(HOUR_S);
        let is_same = |one: &&mut Counted| {
            one.hour == hour && one.grant_type == grant_type && one.credential_id == credential_id && one.api_id == *api
        };
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tokens.get_mut(client) {
            match known.iter_mut().find(is_same) {
                Some(known) => known.tokens += 1,
                None => known.push(Counted::first(hour, credential_id, api, grant_type)),
            }
        } else {
            tokens.insert(client.clone(), vec![Counted::first(hour, credential_id, api, grant_type)]);
        }
    }

    /// Takes the tokens that were counted, to be stored.
    pub(crate) fn take_tokens(&self) -> Vec<TokenCount> {
        let taken = std::mem::take(&mut *self.tokens.lock().unwrap_or_else(PoisonError::into_inner));
        let count = |client: &ClientId, one: Counted| TokenCount {
            hour: one.hour,
            client_id: client.to_string(),
            credential_id: one.credential_id,
            api_id: one.api_id.to_string(),
            grant_type: one.grant_type.as_str().to_owned(),
            tokens: one.tokens,
        };
        taken.into_iter().flat_map(|(client, all)| all.into_iter().map(move |one| count(&client, one))).collect()
    }

    /// What is stored of a credential, and what is not stored yet.
    pub(crate) fn add_to(&self, credential_id: &str, stored: Option<CredentialUse>) -> Option<CredentialUse> {
        let gathered = self.lock().get(credential_id).copied();
        match (gathered, stored) {
            (None, stored) => stored,
            (Some(gathered), stored) => {
                let count = gathered.count + stored.as_ref().map_or(0, |stored| stored.count);
                let newer = stored.filter(|stored| stored.last_used_at > gathered.last_used_at);
                let own = gathered.to_use(credential_id);
                Some(CredentialUse { count, ..newer.unwrap_or(own) })
            }
        }
    }

    /// Takes all that was gathered, to be stored.
    pub(crate) fn take(&self) -> Vec<CredentialUse> {
        let taken = std::mem::take(&mut *self.lock());
        taken.iter().map(|(id, gathered)| gathered.to_use(id)).collect()
    }

    /// Gives back what could not be stored.
    pub(crate) fn give_back(&self, uses: Vec<CredentialUse>) {
        let mut gathered = self.lock();
        for one in uses {
            let Ok(address) = one.address.parse() else { continue };
            let known = gathered.entry(one.credential_id).or_insert(Gathered { last_used_at: 0, count: 0, address });
            known.count += one.count;
            if one.last_used_at > known.last_used_at {
                (known.last_used_at, known.address) = (one.last_used_at, address);
            }
        }
    }

    /// Gives back what could not be stored.
    pub(crate) fn give_back_tokens(&self, counts: Vec<TokenCount>) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        for one in counts {
            let (client, api) = (ClientId::parse(&one.client_id), ApiId::parse(&one.api_id));
            let (Some(client), Some(api_id), Ok(grant_type)) = (client, api, GrantType::parse(&one.grant_type)) else {
                continue;
            };
            let TokenCount { hour, credential_id, tokens: count, .. } = one;
            let counted = Counted { hour, credential_id, api_id, grant_type, tokens: count };
            tokens.entry(client).or_default().push(counted);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Gathered>> {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn first(hour: UnixTime, credential_id: &str, api: &ApiId, grant_type: GrantType) -> Self {
        Self { hour, credential_id: credential_id.to_owned(), api_id: api.clone(), grant_type, tokens: 1 }
    }
}

impl Gathered {
    fn to_use(self, credential_id: &str) -> CredentialUse {
        CredentialUse {
            credential_id: credential_id.to_owned(),
            last_used_at: self.last_used_at,
            count: self.count,
            address: self.address.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn uses_are_added_up_with_what_is_stored_and_the_later_one_names_the_address() {
        let uses = Uses::default();
        assert!(uses.add_to("c", None).is_none());
        uses.record("c", at(1), 10);
        uses.record("c", at(2), 20);
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
        uses.record("c", at(3), 30);
        uses.give_back(taken);
        assert_eq!(seen(uses.add_to("c", None)), Some((30, 3, "192.0.2.3".to_owned())));
    }
}
