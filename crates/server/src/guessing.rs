//! Guessing: failures are counted, in memory, bounded, on each node; successes are not.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use countersign_protocol::UnixTime;
use countersign_protocol::refusal::Refusal;
use countersign_protocol::user::name_key;

/// Most windows of failures are this long, in seconds.
const WINDOW_S: i64 = 15 * 60;
/// The window of one user's failures from everywhere, in seconds.
const USER_WINDOW_S: i64 = 24 * 3600;
/// Failures of one user from one address in [`WINDOW_S`].
const MAX_PER_USER_AND_ADDRESS: u32 = 10;
/// Failures of one user from all addresses in [`USER_WINDOW_S`]; then only addresses that succeeded are heard.
const MAX_PER_USER: u32 = 100;
/// Failed passwords from one address over all users in [`WINDOW_S`].
const MAX_PASSWORDS_PER_ADDRESS: u32 = 100;
/// Failed client authentications from one address in [`WINDOW_S`]; never counted per client, which would be a weapon.
const MAX_CLIENTS_PER_ADDRESS: u32 = 1000;
/// Sign-ins begun from one address in [`WINDOW_S`]: each is a row until it ends.
const MAX_SIGN_INS_PER_ADDRESS: u32 = 300;
/// An address that succeeded for a user is remembered this long, in seconds.
const KNOWN_ADDRESS_S: i64 = 30 * 86_400;
/// The most entries of each table: a flood of names or addresses must not fill the memory.
const MAX_ENTRIES: usize = 100_000;

/// Where failures come from: an IPv4 address, or the /64 of an IPv6 one, which is what one person has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source(u64, bool);

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u64::from(address.to_bits()), false),
            IpAddr::V6(address) => Self(u64::try_from(address.to_bits() >> 64).unwrap_or_default(), true),
        }
    }
}

/// The MAC of a user's name in its one spelling: a name may be as long as a body, and a table must not; and it may be a
/// password that was typed into the wrong field, so it is kept nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameMac([u8; 32]);

impl NameMac {
    /// The stored bytes; `None` unless they are 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Counters of failures by key, in windows that begin with the first failure.
#[derive(Debug)]
struct Failures<K> {
    window_s: i64,
    max: u32,
    counts: HashMap<K, (UnixTime, u32)>,
}

impl<K: Eq + Hash + Copy> Failures<K> {
    fn new(window_s: i64, max: u32) -> Self {
        Self { window_s, max, counts: HashMap::new() }
    }

    /// Seconds until the window ends, if it is full.
    fn blocked_for_s(&self, key: &K, now: UnixTime) -> Option<i64> {
        let (began, count) = self.counts.get(key)?;
        let left_s = began + self.window_s - now;
        (*count >= self.max && left_s > 0).then_some(left_s)
    }

    fn add(&mut self, key: K, now: UnixTime) {
        if self.counts.len() >= MAX_ENTRIES && !self.counts.contains_key(&key) {
            self.make_room(now);
        }
        let entry = self.counts.entry(key).or_insert((now, 0));
        if entry.0 + self.window_s <= now {
            *entry = (now, 0);
        }
        entry.1 = entry.1.saturating_add(1);
    }

    /// True once no further failure is accepted.
    fn is_full(&self, key: &K) -> bool {
        self.counts.get(key).is_some_and(|(_, count)| *count >= self.max)
    }

    /// Takes back one failure that was counted ahead of its proof.
    fn take_back(&mut self, key: &K) {
        if let Some((_, count)) = self.counts.get_mut(key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(key);
            }
        }
    }

    /// Drops what has ended; if nothing has, the entries with the fewest failures.
    fn make_room(&mut self, now: UnixTime) {
        let window_s = self.window_s;
        self.counts.retain(|_, (began, _)| *began + window_s > now);
        if self.counts.len() >= MAX_ENTRIES {
            let fewest = self.counts.values().map(|(_, count)| *count).min().unwrap_or_default();
            self.counts.retain(|_, (_, count)| *count > fewest);
        }
    }
}

#[derive(Debug)]
struct Tables {
    user_and_address: Failures<(NameMac, Source)>,
    user: Failures<NameMac>,
    passwords: Failures<Source>,
    clients: Failures<Source>,
    sign_ins: Failures<Source>,
    known: HashMap<(NameMac, Source), UnixTime>,
}

impl Tables {
    fn take_back(&mut self, attempt: &PasswordAttempt) {
        self.user_and_address.take_back(&(attempt.user, attempt.source));
        self.user.take_back(&attempt.user);
        self.passwords.take_back(&attempt.source);
    }
}

/// All counters of a node.
#[derive(Debug)]
pub struct Guessing {
    tables: Mutex<Tables>,
    name_key: hmac::Key,
}

/// One password check under way: counted as failed until it succeeds, so that guesses side by side gain nothing.
#[derive(Debug)]
pub struct PasswordAttempt {
    user: NameMac,
    source: Source,
    is_last: bool,
    is_last_of_address: bool,
}

impl PasswordAttempt {
    /// True if the user is locked out, from here or from everywhere, once this attempt has failed.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// True if everybody is locked out at this address once this attempt has failed.
    pub fn is_last_of_address(&self) -> bool {
        self.is_last_of_address
    }
}

impl Guessing {
    /// Nothing counted; names are told apart by their MACs under this key.
    pub fn new(name_key: hmac::Key) -> Self {
        let tables = Mutex::new(Tables {
            user_and_address: Failures::new(WINDOW_S, MAX_PER_USER_AND_ADDRESS),
            user: Failures::new(USER_WINDOW_S, MAX_PER_USER),
            passwords: Failures::new(WINDOW_S, MAX_PASSWORDS_PER_ADDRESS),
            clients: Failures::new(WINDOW_S, MAX_CLIENTS_PER_ADDRESS),
            sign_ins: Failures::new(WINDOW_S, MAX_SIGN_INS_PER_ADDRESS),
            known: HashMap::new(),
        });
        Self { tables, name_key }
    }

    /// The MAC of a user's name, whatever its case.
    pub fn name_mac(&self, login: &str) -> NameMac {
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&self.name_key, name_key(login).as_bytes()).as_ref());
        NameMac(mac)
    }

    /// Err if the address has failed to authenticate as a client too often.
    pub fn check_client(&self, address: IpAddr, now: UnixTime) -> Result<(), Refusal> {
        let blocked = self.tables().clients.blocked_for_s(&Source::of(address), now);
        refuse(blocked, "client authentication from this address")
    }

    /// Counts a failed client authentication.
    pub fn count_client_failure(&self, address: IpAddr, now: UnixTime) {
        self.tables().clients.add(Source::of(address), now);
    }

    /// Begins a password check. Known and unknown users count the same, under one spelling of the name.
    pub fn begin_password(&self, user: NameMac, address: IpAddr, now: UnixTime) -> Result<PasswordAttempt, Refusal> {
        let mut attempt =
            PasswordAttempt { user, source: Source::of(address), is_last: false, is_last_of_address: false };
        let pair = (attempt.user, attempt.source);
        let mut tables = self.tables();
        refuse(tables.user_and_address.blocked_for_s(&pair, now), "this user from this address")?;
        refuse(tables.passwords.blocked_for_s(&attempt.source, now), "passwords from this address")?;
        let known = tables.known.get(&pair).is_some_and(|at| at + KNOWN_ADDRESS_S > now);
        if !known {
            refuse(tables.user.blocked_for_s(&attempt.user, now), "this user from everywhere")?;
        }
        tables.user_and_address.add(pair, now);
        tables.user.add(attempt.user, now);
        tables.passwords.add(attempt.source, now);
        attempt.is_last_of_address = tables.passwords.is_full(&attempt.source);
        attempt.is_last = tables.user_and_address.is_full(&pair) || (!known && tables.user.is_full(&attempt.user));
        Ok(attempt)
    }

    /// Begins a sign-in, which is not counted as a failure of anybody's.
    pub fn begin_sign_in(&self, address: IpAddr, now: UnixTime) -> Result<(), Refusal> {
        let source = Source::of(address);
        let mut tables = self.tables();
        refuse(tables.sign_ins.blocked_for_s(&source, now), "sign-ins from this address")?;
        tables.sign_ins.add(source, now);
        Ok(())
    }

    /// The password was right, but is not all that is asked: it does not count, and the address is not known for it.
    pub fn pass(&self, attempt: PasswordAttempt) {
        self.tables().take_back(&attempt);
    }

    /// All was right: it does not count, and the address is known for this user.
    pub fn succeed(&self, attempt: PasswordAttempt, now: UnixTime) {
        let mut tables = self.tables();
        tables.take_back(&attempt);
        let pair = (attempt.user, attempt.source);
        if tables.known.len() >= MAX_ENTRIES {
            tables.known.retain(|_, at| *at + KNOWN_ADDRESS_S > now);
        }
        if tables.known.len() < MAX_ENTRIES {
            tables.known.insert(pair, now);
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(blocked_for_s: Option<i64>, what: &'static str) -> Result<(), Refusal> {
    match blocked_for_s {
        Some(retry_after_s) => Err(Refusal::TooManyAttempts { what, retry_after_s }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessing() -> Guessing {
        Guessing::new(hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]))
    }

    fn begin(guessing: &Guessing, name: &str, from: IpAddr, now: UnixTime) -> Result<PasswordAttempt, Refusal> {
        guessing.begin_password(guessing.name_mac(name), from, now)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn ten_failures_close_the_door_for_one_user_and_address_until_the_window_ends() {
        let guessing = guessing();
        let try_it = |name, from, now| begin(&guessing, name, address(from), now);
        for at in 0..10 {
            assert!(try_it("Ada", "192.0.2.1", 1000 + at).is_ok_and(|attempt| attempt.is_last() == (at == 9)));
        }
        let blocked = Refusal::TooManyAttempts { what: "this user from this address", retry_after_s: 890 };
        assert_eq!(try_it("aDA", "192.0.2.1", 1010).err(), Some(blocked));
        assert!(try_it("ada", "192.0.2.2", 1010).is_ok());
        assert!(try_it("bob", "192.0.2.1", 1010).is_ok());
        assert!(try_it("ada", "192.0.2.1", 1900).is_ok());
    }

    #[test]
    fn a_success_is_not_counted_and_its_address_stays_heard() {
        let guessing = guessing();
        let home = address("2001:db8::1");
        for now in 0..50 {
            let attempt = begin(&guessing, "ada", home, now).expect("heard");
            guessing.succeed(attempt, now);
        }
        for index in 0..100u32 {
            let from = IpAddr::from(0x0a00_0000u32.wrapping_add(index).to_be_bytes());
            assert!(begin(&guessing, "ada", from, 100).is_ok(), "{index}");
        }
        assert!(begin(&guessing, "ada", address("198.51.100.7"), 101).is_err());
        assert!(begin(&guessing, "ada", address("2001:db8::ffff"), 101).is_ok(), "the same /64");
        assert!(begin(&guessing, "ada", address("2001:db8:0:1::1"), 101).is_err());
    }

    #[test]
    fn an_address_may_fail_a_hundred_passwords_and_a_thousand_clients() {
        let guessing = guessing();
        let from = address("::ffff:192.0.2.1");
        for index in 0..100 {
            assert!(begin(&guessing, &format!("user{index}"), from, 0).is_ok());
        }
        assert!(begin(&guessing, "another", address("192.0.2.1"), 0).is_err());
        for _ in 0..1000 {
            assert!(guessing.check_client(from, 0).is_ok());
            guessing.count_client_failure(from, 0);
        }
        assert!(guessing.check_client(from, 899).is_err());
        assert!(guessing.check_client(from, 900).is_ok());
    }

    #[test]
    fn a_flood_of_names_takes_bounded_memory_and_frees_nobody_who_is_blocked() {
        let mut failures = Failures::new(WINDOW_S, 2);
        failures.add(u64::MAX, 0);
        failures.add(u64::MAX, 0);
        for key in 0..2 * MAX_ENTRIES as u64 {
            failures.add(key, 1);
        }
        assert!(failures.counts.len() <= MAX_ENTRIES);
        assert!(failures.blocked_for_s(&u64::MAX, 1).is_some());
    }
}
