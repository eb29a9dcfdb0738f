//! Every bound of the server in one place, each with its reason.

use std::time::Duration;

/// The largest form body, in bytes (design: 413 above it).
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// A body must arrive within this time: a slow sender must not hold a place for free.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// A request's head must arrive within this time, and an idle connection is closed after it.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that takes none of its answer for this long is given up: it must not hold a connection for free.
pub const WRITE_PROGRESS_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a request's head that are buffered.
pub const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Seconds after which a caller may try again when we are overloaded or cannot decide.
pub const RETRY_AFTER_S: i64 = 5;
/// The registry is read for changes this often, so that a change is everywhere within a second.
pub const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
/// One read of the change counter may take this long before the database counts as lost.
pub const FOLLOW_TIMEOUT: Duration = Duration::from_secs(2);
/// What is dead is deleted this often.
pub const CLEAN_UP_INTERVAL: Duration = Duration::from_secs(600);
/// What is dead is kept this much longer, in seconds, so that no clock of ours still counts it as live.
pub const DEAD_MARGIN_S: i64 = 60;
/// A change to the database may take this long before the caller is told 503.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Passwords hashed at once: each takes 19 MiB and tens of milliseconds of one core.
pub const PASSWORD_SLOTS: usize = 2;
/// Passwords waiting for a slot; beyond that the caller is told to come back.
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
