//! Whether the time of a refusal reveals that a client exists.
//!
//! The method is dudect's: two kinds of calls in random order in one process, compared by Welch's t-test. If |t| is below 4.5,
//! this many samples do not distinguish them.

use std::hint::black_box;

use countersign_protocol::UnixTime;
use countersign_protocol::client::{Client, ClientAuthMethod, Credential, MayAsk};
use countersign_protocol::client_authentication::{ClientAuthentication, check};
use countersign_protocol::ids::ClientId;
use countersign_protocol::secret::{CLIENT_SECRET_PREFIX, Secret};
use countersign_protocol::status::Status;

use crate::{Outcome, watch};

/// The number of samples per comparison, both sides together.
pub(crate) const SAMPLES: usize = 1_000_000;
/// The number of warm-up calls, for caches, branch predictors and the CPU clock.
const WARM_UP: usize = 20_000;
/// The trimmed figures exclude one in this many samples, the slowest ones: an interrupt takes a thousand times longer than the
/// difference to find.
const LEFT_OUT: usize = 100;
const NOW: UnixTime = 1_000_000_000;

/// A kind of refusal, and |t| of its time compared with an unknown client that presents the same secret.
pub(crate) struct Compared {
    /// Why the known client is refused.
    pub(crate) kind: &'static str,
    /// Welch's |t| over all samples.
    pub(crate) t: f64,
    /// Welch's |t| without the slowest samples. It detects differences of less than a nanosecond.
    pub(crate) trimmed_t: f64,
    /// How much slower it is than the unknown client, without the slowest samples, in nanoseconds.
    pub(crate) slower_ns: f64,
}

/// Compares every way to refuse a known client with an unknown client.
pub(crate) fn compare_all() -> Outcome<Vec<Compared>> {
    let (right, wrong) = (secret(1), secret(2));
    let mistyped = mistype(&wrong);
    let known = client(&[&right], |_| ())?;
    let many: Vec<Secret> = (10..20).map(secret).collect();
    let many = client(&many.iter().collect::<Vec<_>>(), |_| ())?;
    let expired = client(&[&right], |client| client.credentials[0].expires_at = Some(NOW))?;
    let early = client(&[&right], |client| client.credentials[0].not_before = NOW + 1)?;
    let disabled = client(&[&right], |client| client.status = Status::Disabled)?;
    let basic_only =
        client(&[&right], |client| client.auth_methods = [ClientAuthMethod::ClientSecretBasic].into_iter().collect())?;
    let bare = client(&[], |_| ())?;
    Ok(vec![
        compare("unknown, again", &wrong, None),
        compare("wrong secret", &wrong, Some(&known)),
        compare("wrong secret, ten registered", &wrong, Some(&many)),
        compare("wrong secret, none registered", &wrong, Some(&bare)),
        compare("wrong checksum", &mistyped, Some(&known)),
        compare("imported secret", &Secret::new("a secret that was imported from elsewhere"), Some(&known)),
        compare("expired secret", &right, Some(&expired)),
        compare("secret not yet valid", &right, Some(&early)),
        compare("disabled client", &right, Some(&disabled)),
        compare("method not registered", &right, Some(&basic_only)),
    ])
}

fn compare(kind: &'static str, secret: &Secret, client: Option<&Client>) -> Compared {
    let method = ClientAuthMethod::ClientSecretPost;
    let presented = ClientAuthentication { method, client_id: "service".to_owned(), secret: secret.clone() };
    let mut order = Order(0x9E37_79B9_7F4A_7C15);
    let mut samples = Vec::with_capacity(SAMPLES);
    for index in 0..WARM_UP + SAMPLES {
        let is_known = order.next();
        let registered = black_box(if is_known { client } else { None });
        let begin = watch::now();
        let verdict = black_box(check(black_box(&presented), registered, NOW));
        drop(verdict);
        let nanoseconds = begin.elapsed().as_nanos();
        if index >= WARM_UP {
            samples.push((is_known, u32::try_from(nanoseconds).unwrap_or(u32::MAX)));
        }
    }
    let (_, t) = welch(&samples);
    samples.sort_unstable_by_key(|(_, nanoseconds)| *nanoseconds);
    samples.truncate(SAMPLES - SAMPLES / LEFT_OUT);
    let (slower_ns, trimmed_t) = welch(&samples);
    Compared { kind, t, trimmed_t, slower_ns }
}

/// The mean difference of the known client in nanoseconds, and Welch's |t|.
fn welch(samples: &[(bool, u32)]) -> (f64, f64) {
    let side = |known: bool| Moments::of(samples.iter().filter(|(of, _)| *of == known).map(|(_, ns)| f64::from(*ns)));
    let (unknown, known) = (side(false), side(true));
    let error = (unknown.variance / unknown.count + known.variance / known.count).sqrt();
    let slower_ns = known.mean - unknown.mean;
    (slower_ns, (slower_ns / error).abs())
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for value in values {
            count += 1.0;
            let off = value - mean;
            mean += off / count;
            squares += off * (value - mean);
        }
        Self { count, mean, variance: squares / (count - 1.0) }
    }
}

/// Chooses the side of the next call: xorshift, the same in every run.
struct Order(u64);

impl Order {
    fn next(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 63 == 1
    }
}

fn client(secrets: &[&Secret], change: impl FnOnce(&mut Client)) -> Outcome<Client> {
    let credential = |(index, secret): (usize, &&Secret)| Credential {
        // As long as the server's own secrets.
        id: format!("cred_{index:016}"),
        label: "bench".to_owned(),
        secret_hash: secret.hash(),
        not_before: 0,
        expires_at: None,
    };
    let mut client = Client {
        id: ClientId::parse("service").ok_or("invalid client ID")?,
        name: "Service".to_owned(),
        auth_methods: ClientAuthMethod::ALL.into_iter().collect(),
        credentials: secrets.iter().enumerate().map(credential).collect(),
        may_ask: MayAsk::new(),
        may_introspect: Vec::new(),
        limits: None,
        status: Status::Active,
        epoch: 1,
        removals: Box::default(),
    };
    change(&mut client);
    Ok(client)
}

/// The same secret with another last digit, so that its checksum is wrong.
fn mistype(secret: &Secret) -> Secret {
    let mut text = secret.expose().to_owned();
    let last = text.pop();
    text.push(if last == Some('x') { 'y' } else { 'x' });
    Secret::new(text)
}

fn secret(number: u8) -> Secret {
    Secret::from_random(CLIENT_SECRET_PREFIX, &[number; 32])
}
