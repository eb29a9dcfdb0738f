//! Every bound of the server in one place, each with its reason.

use std::time::Duration;

/// The largest form body, in bytes (413 above it).
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// A body must arrive within this time: a slow sender must not hold a place for free.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// A request's head must arrive within this time, and an idle connection is closed after it.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that takes none of its answer for this long is given up: it must not hold a connection for free.
pub const WRITE_PROGRESS_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a request's head, from the request line to the empty line: browsers and proxies send a tenth of it.
/// In HTTP/2 it is the size of the list of headers, each with 32 bytes more (RFC 9113 §10.5.1).
pub const MAX_HEADER_BYTES: usize = 32 * 1024;
/// A TLS handshake must be done within this time: it holds a connection's place.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a handshake that failed, what is still sent is read for this long, so that the peer sees an end, not a reset.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// The most bytes that are read meanwhile.
pub const MAX_LINGER_BYTES: u64 = 64 * 1024;
/// The largest certificate or key file, in bytes: a long chain has some 10 KiB.
pub const MAX_TLS_FILE_BYTES: u64 = 1024 * 1024;
/// The certificate's files are compared this often: a renewal is days ahead of the end, nobody waits for it.
pub const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(5);
/// A certificate that ends within this many seconds is warned of: 14 days, time to repair a renewal that fails.
pub const CERTIFICATE_WARNING_S: i64 = 14 * 24 * 3600;
/// It is warned of this often, in seconds: once a day.
pub const CERTIFICATE_WARNING_EACH_S: i64 = 24 * 3600;
/// Requests at once on one HTTP/2 connection: RFC 9113 §6.5.2 advises no fewer than 100, and each costs memory.
pub const HTTP2_MAX_STREAMS: u32 = 100;
/// The largest HTTP/2 frame taken: the smallest bound that the protocol allows; forms and heads are smaller.
pub const HTTP2_MAX_FRAME_BYTES: u32 = 16 * 1024;
/// Bytes that one request, and all requests of one HTTP/2 connection together, may send ahead of being read: the
/// protocol's own first window, which holds any body we take but for a byte. It does not grow (no adaptive window).
pub const HTTP2_WINDOW_BYTES: u32 = 65_535;
/// Bytes of one answer that are held for an HTTP/2 peer who does not take them; the rest waits unread in its body.
pub const HTTP2_SEND_BUFFER_BYTES: usize = 16 * 1024;
/// Requests that a peer may take back before we have looked at them, until its connection is ended: opening and
/// resetting costs it nothing and us work (rapid reset, CVE-2023-44487).
pub const HTTP2_MAX_PENDING_RESETS: usize = 20;
/// Requests that we reset for a peer's faults until its connection is ended: it must not make us do so for ever.
pub const HTTP2_MAX_FAULTS: usize = 100;
/// A quiet HTTP/2 peer with a request under way is asked this often whether it is there…
pub const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
/// … and is given up when it does not answer within this time: no request may hold a place for one who is gone.
pub const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether anything moves on an HTTP/2 connection.
pub const HTTP2_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// An HTTP/2 connection on which nothing moves at so many looks, and nothing is worked on, is ended: this is what
/// [`HEADER_TIMEOUT`] and [`WRITE_PROGRESS_TIMEOUT`] are for HTTP/1, and it is as long.
pub const HTTP2_QUIET_LOOKS: u32 = 10;
/// Once it was told to end, it is cut off after so many: it has had its time, and a stop must not wait for it.
pub const HTTP2_LAST_LOOKS: u32 = 3;
/// Seconds after which a caller may try again when we are overloaded or cannot decide.
pub const RETRY_AFTER_S: i64 = 5;
/// `Retry-After` of a locked user, in seconds: time for an administrator to unlock them.
pub const LOCKED_RETRY_AFTER_S: i64 = 3600;
/// Changes by administrators, and separately their looks, that are worked on at once: a change waits for the one lock of all
/// changes, a look for the database, and neither may take the places of token requests.
pub const MAX_ADMIN_IN_FLIGHT: usize = 64;
/// Calls of people's pages that are worked on at once: a sign-in waits for the lock of all changes.
pub const MAX_PEOPLE_IN_FLIGHT: usize = 64;
/// Requests may wait for their turn this long while the queue was empty as recently, in microseconds: CoDel's interval
/// (RFC 8289 §4.3), which is longer than what a burst of requests that can be served takes.
pub const QUEUE_INTERVAL_US: i64 = 100_000;
/// Connections to `metrics.listen` at once: a handful of scrapers and orchestrators.
pub const MAX_OPERATOR_CONNECTIONS: usize = 64;
/// The registry is read for changes this often, so that a change is everywhere within a second.
pub const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
/// One read of the change counter may take this long before the database counts as lost; what is newer is then read for as
/// long as rows come.
pub const FOLLOW_TIMEOUT: Duration = Duration::from_secs(2);
/// Each node tells the others this often that it is alive, and at once when it has read a change.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A node whose heartbeat is younger is alive, in milliseconds: it may miss four.
pub const NODE_ALIVE_MS: i64 = 5000;
/// A heartbeat that has stopped is kept for an hour, in milliseconds, so that it can be asked which node is gone.
pub const SILENT_NODE_KEPT_MS: i64 = 3600 * 1000;
/// A key signs once every live node has read it, or after this time: eight reads. A leaked key must end all the same.
pub const SEEN_TIMEOUT: Duration = Duration::from_secs(2);
/// It is looked this often whether they have.
pub const SEEN_LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// The registry is compared with the database this often.
pub const COMPARE_INTERVAL: Duration = Duration::from_secs(3600);
/// What was deleted is known for so long, in seconds: a node that has read nothing since loads everything.
pub const DELETIONS_KEPT_S: i64 = 86_400;
/// What is dead is deleted this often.
pub const CLEAN_UP_INTERVAL: Duration = Duration::from_secs(600);
/// The lease to delete is held this long, in seconds: until the next time, and a little more.
pub const CLEAN_UP_LEASE_S: i64 = 660;
/// What is dead is kept this much longer, in seconds, so that no clock of ours still counts it as live.
pub const DEAD_MARGIN_S: i64 = 60;
/// The highest `registry.max_age_s`: for an hour at most a node decides by what it last read, in seconds.
pub const MAX_REGISTRY_AGE_S: i64 = 3600;
/// A change to the database may take this long before the caller is told 503.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// It goes on after that, because it may come to its end, but not for longer than this.
pub const ABANDONED_WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Passwords hashed at once: each takes 19 MiB and tens of milliseconds of one core.
pub const PASSWORD_SLOTS: usize = 2;
/// Passwords that wait to be hashed. When more do, the network that has most of them loses its newest.
pub const PASSWORD_QUEUE: usize = 32;
/// The longest password that is hashed, in bytes: nobody types more.
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// Reports that the demonstration resource keeps; the oldest goes first.
pub const MAX_REPORTS: usize = 100;
/// An anonymous session lives this long, in seconds: time to sign in.
pub const ANONYMOUS_SESSION_S: i64 = 600;
/// A sign-in must be finished within this time, in seconds.
pub const SIGN_IN_S: i64 = 600;
/// A person's session ends after this time, used or not, in seconds: a working day.
pub const SESSION_LIFETIME_S: i64 = 8 * 3600;
/// A person's session ends when unused for this long, in seconds.
pub const SESSION_IDLE_S: i64 = 1800;
/// That a session was used is noted at most this often, in seconds: looking must not cost a write each time.
pub const SESSION_TOUCH_S: i64 = 60;
/// Characters kept of what a browser says it is.
pub const MAX_USER_AGENT_CHARS: usize = 200;
/// The fewest characters of a new password of a person (NIST SP 800-63B asks for 8 beside a second factor).
pub const MIN_NEW_PASSWORD_CHARS: usize = 12;
/// The most characters of a new password.
pub const MAX_NEW_PASSWORD_CHARS: usize = 128;
/// The largest answer that the demo reads from an endpoint of this server, in bytes.
pub const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// A signing key is published this long before it signs, in seconds: three times the key set's `max-age`, so that every
/// verifier knows it.
pub const KEY_PENDING_S: i64 = 900;
/// A key is kept this much longer than the last token that it signed, in seconds: clocks differ.
pub const KEY_MARGIN_S: i64 = 60;
/// It is looked this often whether a step of key rotation is due.
pub const ROTATE_INTERVAL: Duration = Duration::from_secs(30);
/// The lease to rotate keys is held this long, in seconds: longer than the steps take.
pub const LEASE_S: i64 = 60;
/// The uses of credentials are stored this often: a kill loses at most that.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(10);
/// The salts of refresh tokens are erased at most this long after the time for repeated uses.
pub const RETRIES_INTERVAL: Duration = Duration::from_secs(5);
/// It is looked this often whether the database file is in its place, because nobody else notices.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Refusals are stored this often, so that another node can explain them.
pub const REFUSALS_INTERVAL: Duration = Duration::from_secs(1);
/// Refusals are kept for a week, in seconds…
pub const REFUSALS_KEPT_S: i64 = 7 * 86_400;
/// … and never more than so many.
pub const MAX_STORED_REFUSALS: i64 = 100_000;
/// Failed passwords are kept for this many names that nobody has; those with the fewest failures are deleted first.
pub const MAX_STRANGERS: i64 = 100_000;
/// Counts of tokens are kept for 400 days, in seconds: a year and a month.
pub const TOKEN_COUNTS_KEPT_S: i64 = 400 * 86_400;
/// Secrets that end soon are warned of this often: once a day is heard, more is noise.
pub const EXPIRY_INTERVAL: Duration = Duration::from_secs(86_400);
/// A secret that was used within a day is in use, in seconds.
pub const IN_USE_S: i64 = 86_400;
