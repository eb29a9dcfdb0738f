//! All limits of the server, each with its reason.

use std::time::Duration;

/// The maximum size of a body, in bytes. Larger ones get 413. A scope of the admin API with 50 rules of 500 bytes, about 25 KiB,
/// must fit. Bodies are held in memory, so 1,000 concurrent ones take at most 64 MiB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// The timeout for a body, so that a slow sender cannot occupy a place for free.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout for a request's head, and for an idle connection.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that reads nothing of its response for this long is disconnected, so that it cannot occupy a connection for
/// free.
pub const WRITE_PROGRESS_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that has waited for its peer for this long counts as idle, in milliseconds, and is closed when others need
/// room. A packet that is lost twice costs as much.
pub const PEER_STALL_MS: i64 = 3000;
/// If no connection is idle, one that has waited for its peer for this long may be closed instead, in milliseconds. A new
/// connection has as much time for its first request, whatever others do. A peer that avoids this sends five requests a second, which is load.
pub const PEER_PAUSE_MS: i64 = 200;
/// The maximum size of a request's head in bytes, from the request line to the empty line. Browsers and proxies send a
/// tenth of it. For HTTP/2, this is the size of the header list, which includes 32 more bytes per header (RFC 9113
/// §10.5.1).
pub const MAX_HEADER_BYTES: usize = 32 * 1024;
/// The timeout for a TLS handshake, which occupies a connection.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed handshake, the server reads for this long what is still sent, so that the peer sees an end instead of
/// a reset.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum number of bytes to read in that case.
pub const MAX_LINGER_BYTES: u64 = 64 * 1024;
/// The maximum size of a certificate or key file, in bytes. A long chain has about 10 KiB.
pub const MAX_TLS_FILE_BYTES: u64 = 1024 * 1024;
/// How often the certificate's files are compared. Renewals happen days before the expiry, so nobody waits for this.
pub const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(5);
/// How early to warn about an expiring certificate, in seconds: 14 days, which leaves time to repair a failed renewal.
pub const CERTIFICATE_WARNING_S: i64 = 14 * 24 * 3600;
/// How often to warn about it, in seconds: once a day.
pub const CERTIFICATE_WARNING_EACH_S: i64 = 24 * 3600;
/// The maximum number of concurrent requests on an HTTP/2 connection. RFC 9113 §6.5.2 recommends at least 100, and each
/// costs memory.
pub const HTTP2_MAX_STREAMS: u32 = 100;
/// The maximum size of an HTTP/2 frame, which is the smallest limit that the protocol allows. Forms and heads are
/// smaller.
pub const HTTP2_MAX_FRAME_BYTES: u32 = 16 * 1024;
/// How many bytes one request, and all requests of an HTTP/2 connection together, may send before they are read. This
/// is the protocol's initial window, which fits any allowed body except for one byte. It does not grow (no adaptive
/// window).
pub const HTTP2_WINDOW_BYTES: u32 = 65_535;
/// How many bytes of a response are buffered for an HTTP/2 peer that does not read. The rest stays in the response's
/// body.
pub const HTTP2_SEND_BUFFER_BYTES: usize = 16 * 1024;
/// How many requests a peer may reset before they are accepted. After that, the connection is closed. Opening and
/// resetting streams costs the peer nothing and us work (rapid reset, CVE-2023-44487).
pub const HTTP2_MAX_PENDING_RESETS: usize = 20;
/// How many requests we reset because of a peer's errors before the connection is closed, so that it cannot make us do
/// this forever.
pub const HTTP2_MAX_FAULTS: usize = 100;
/// How often a silent HTTP/2 peer with a request in progress is pinged…
pub const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
/// … and the timeout for its response, so that a request of a peer that is gone does not occupy a place.
pub const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the progress of an HTTP/2 connection is checked.
pub const HTTP2_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// After this many checks without progress or requests, an HTTP/2 connection is closed. It corresponds to
/// [`HEADER_TIMEOUT`] and [`WRITE_PROGRESS_TIMEOUT`] for HTTP/1, and is as long.
pub const HTTP2_QUIET_LOOKS: u32 = 10;
/// After this many checks, a connection that was asked to end is closed. It had enough time, and must not delay a
/// shutdown.
pub const HTTP2_LAST_LOOKS: u32 = 3;
/// When to try again if the server is overloaded or cannot decide, in seconds.
pub const RETRY_AFTER_S: i64 = 5;
/// `Retry-After` for a locked user, in seconds: time for an administrator to unlock them.
pub const LOCKED_RETRY_AFTER_S: i64 = 3600;
/// The maximum number of concurrent changes by administrators and, separately, of their reads. A change waits for the
/// global change lock, a read for the database. Neither may take the places of token requests.
pub const MAX_ADMIN_IN_FLIGHT: usize = 64;
/// The maximum number of concurrent calls from pages. A sign-in waits for the global change lock.
pub const MAX_PEOPLE_IN_FLIGHT: usize = 64;
/// Requests may wait for this long if the queue was empty within this time, in microseconds. This is CoDel's interval
/// (RFC 8289 §4.3). It is longer than what a burst takes that can be served.
pub const QUEUE_INTERVAL_US: i64 = 100_000;
/// The maximum number of connections to `metrics.listen`: a few scrapers and orchestrators.
pub const MAX_OPERATOR_CONNECTIONS: usize = 64;
/// How often the change counter is read, so that a change reaches every node within a second.
pub const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
/// The timeout for reading the change counter before the database counts as unreachable. Loading newer changes may then
/// take as long as rows arrive.
pub const FOLLOW_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a node sends a heartbeat. It also sends one immediately after loading a change.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A node with a heartbeat younger than this is alive, in milliseconds. It may miss four.
pub const NODE_ALIVE_MS: i64 = 5000;
/// A stopped heartbeat is kept for an hour, in milliseconds, so that administrators can see which node is gone.
pub const SILENT_NODE_KEPT_MS: i64 = 3600 * 1000;
/// A key signs once every live node has loaded it, or after this time, which is eight reads. A leaked key must be
/// replaced in any case.
pub const SEEN_TIMEOUT: Duration = Duration::from_secs(2);
/// How often to check whether they have.
pub const SEEN_LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How often the registry is compared with the database.
pub const COMPARE_INTERVAL: Duration = Duration::from_secs(3600);
/// How long deletions are remembered, in seconds. A node that has read nothing since then reloads everything.
pub const DELETIONS_KEPT_S: i64 = 86_400;
/// How often expired rows are deleted.
pub const CLEAN_UP_INTERVAL: Duration = Duration::from_secs(600);
/// How long the lease for deleting is valid, in seconds: slightly longer than until the next time.
pub const CLEAN_UP_LEASE_S: i64 = 660;
/// How much longer expired rows are kept, in seconds, so that no node's clock still considers them valid.
pub const DEAD_MARGIN_S: i64 = 60;
/// The maximum of `registry.max_age_s`, in seconds: a node uses its last registry for at most an hour.
pub const MAX_REGISTRY_AGE_S: i64 = 3600;
/// How long a change to the database may take before the caller gets 503.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// After that, it continues, because it may succeed, but not for longer than this.
pub const ABANDONED_WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// How many passwords are hashed at once. Each takes 19 MiB and tens of milliseconds of one core.
pub const PASSWORD_SLOTS: usize = 2;
/// The maximum number of passwords in the queue. Above it, the network with the most entries loses its newest.
pub const PASSWORD_QUEUE: usize = 32;
/// The maximum length of a password to hash, in bytes. Nobody types more.
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// How many reports the demonstration resource keeps. The oldest is dropped first.
pub const MAX_REPORTS: usize = 100;
/// The lifetime of an anonymous session, in seconds: time to sign in.
pub const ANONYMOUS_SESSION_S: i64 = 600;
/// The timeout for a sign-in, in seconds.
pub const SIGN_IN_S: i64 = 600;
/// The maximum lifetime of a user's session, in seconds: a working day.
pub const SESSION_LIFETIME_S: i64 = 8 * 3600;
/// A user's session ends if it is not used for this long, in seconds.
pub const SESSION_IDLE_S: i64 = 1800;
/// How often the use of a session is stored, in seconds, so that reading does not cost a write each time.
pub const SESSION_TOUCH_S: i64 = 60;
/// The maximum length of a stored User-Agent, in characters.
pub const MAX_USER_AGENT_CHARS: usize = 200;
/// The minimum length of a new password, in characters (NIST SP 800-63B requires 8 with a second factor).
pub const MIN_NEW_PASSWORD_CHARS: usize = 12;
/// The maximum length of a new password, in characters.
pub const MAX_NEW_PASSWORD_CHARS: usize = 128;
/// The maximum size of a response that the demo reads from an endpoint of this server, in bytes.
pub const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// How long a signing key is published before it signs, in seconds: three times the key set's `max-age`, so that every
/// verifier has it.
pub const KEY_PENDING_S: i64 = 900;
/// How much longer a key is kept than the last token that it signed, in seconds, because clocks differ.
pub const KEY_MARGIN_S: i64 = 60;
/// How often to check whether a step of key rotation is due.
pub const ROTATE_INTERVAL: Duration = Duration::from_secs(30);
/// How long the lease for rotating keys is valid, in seconds: longer than the steps take.
pub const LEASE_S: i64 = 60;
/// How often the uses of credentials are stored, unless that takes long. A kill loses at most this much.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(10);
/// Storing the uses takes at most one part in this many of the time.
pub const FLUSH_SHARE: i64 = 50;
/// The longest time without storing the uses, however long it takes, in milliseconds.
pub const MAX_FLUSH_REST_MS: i64 = 50_000;
/// How long after the retry time the salts of refresh tokens are erased at the latest.
pub const RETRIES_INTERVAL: Duration = Duration::from_secs(5);
/// How often to check whether the database file is in its place, because nothing else would notice.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How often refusals are stored, so that another node can explain them.
pub const REFUSALS_INTERVAL: Duration = Duration::from_secs(1);
/// Refusals are kept for a week, in seconds…
pub const REFUSALS_KEPT_S: i64 = 7 * 86_400;
/// … up to this number.
pub const MAX_STORED_REFUSALS: i64 = 100_000;
/// For how many names that do not belong to a user failed passwords are kept. Those with the fewest failures are
/// deleted first.
pub const MAX_STRANGERS: i64 = 100_000;
/// Counts of tokens are kept for 400 days, in seconds: a year and a month.
pub const TOKEN_COUNTS_KEPT_S: i64 = 400 * 86_400;
/// How often to warn about secrets that expire soon. Warnings once a day are noticed, more are noise.
pub const EXPIRY_INTERVAL: Duration = Duration::from_secs(86_400);
/// A secret that was used within this time, in seconds, is in use: one day.
pub const IN_USE_S: i64 = 86_400;
