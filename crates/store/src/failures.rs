//! Failed passwords and one-time codes, and a user's known devices.
//!
//! None of this raises the change counter: nodes read it during a sign-in.

use countersign_protocol::UnixTime;
use countersign_protocol::ids::UserId;
use sqlx::{Any, Row, Transaction};
use strum::{EnumString, IntoStaticStr};

use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::statement::statements;
use crate::transaction::transact;

statements! {
    FIND_FAILURES =
        "SELECT failures, unknown_failures, last_unknown_at, last_failure_at FROM password_failures WHERE name_mac = $1";
    FIND_DEVICE = "SELECT last_success_at, failures, began_at, kind FROM known_devices WHERE device_mac = $1";
    ADD_FAILURE = "INSERT INTO password_failures \
         (name_mac, user_id, failures, unknown_failures, last_unknown_at, last_failure_at) \
         VALUES ($1, (SELECT id FROM users WHERE id = $2), 1, $3, $4, $5) ON CONFLICT (name_mac) DO UPDATE SET \
         user_id = COALESCE(excluded.user_id, password_failures.user_id), failures = password_failures.failures + 1, \
         unknown_failures = password_failures.unknown_failures + excluded.unknown_failures, \
         last_unknown_at = CASE WHEN excluded.last_unknown_at > password_failures.last_unknown_at \
             THEN excluded.last_unknown_at ELSE password_failures.last_unknown_at END, \
         last_failure_at = excluded.last_failure_at RETURNING failures, unknown_failures, last_unknown_at";
    ADD_DEVICE_FAILURE = "UPDATE known_devices SET \
         failures = CASE WHEN began_at <= $1 THEN 1 ELSE failures + 1 END, \
         began_at = CASE WHEN began_at <= $2 THEN $3 ELSE began_at END WHERE device_mac = $4";
    FORGET_FAILURES = "DELETE FROM password_failures WHERE name_mac = $1";
    FORGET_UNLESS_KNOWN = "DELETE FROM password_failures WHERE name_mac = $1 AND NOT EXISTS \
         (SELECT 1 FROM known_devices WHERE device_mac = $2 AND last_success_at > $3)";
    END_ROW_OF_FAILURES = "UPDATE password_failures SET failures = 0 WHERE name_mac = $1";
    KEEP_DEVICE = "INSERT INTO known_devices (device_mac, user_id, kind, last_success_at, failures, began_at, previous_mac) \
         SELECT $1, id, $2, $3, 0, 0, (SELECT device_mac FROM known_devices WHERE device_mac = $4) FROM users WHERE id = $5 \
         ON CONFLICT (device_mac) DO UPDATE SET last_success_at = excluded.last_success_at, failures = 0, began_at = 0";
    FORGET_REPLACED = "DELETE FROM known_devices WHERE user_id = $1 AND \
         (device_mac = (SELECT previous_mac FROM known_devices WHERE device_mac = $2) OR previous_mac = $3)";
    FORGET_OLDER_DEVICES = "WITH newest AS (SELECT device_mac, previous_mac FROM known_devices \
         WHERE user_id = $1 AND kind = $2 AND device_mac NOT IN \
         (SELECT previous_mac FROM known_devices WHERE user_id = $3 AND previous_mac IS NOT NULL) \
         ORDER BY last_success_at DESC, device_mac LIMIT $4) \
         DELETE FROM known_devices WHERE user_id = $5 AND kind = $6 AND device_mac NOT IN \
         (SELECT device_mac FROM newest UNION SELECT previous_mac FROM newest WHERE previous_mac IS NOT NULL)";
    FORGET_BROWSERS = "DELETE FROM known_devices WHERE user_id = $1 AND kind = $2";
    FIND_CODE_FAILURES = "SELECT failures, began_at FROM code_failures WHERE user_id = $1 AND source = $2";
    ADD_CODE_FAILURE = "INSERT INTO code_failures (user_id, source, failures, began_at) \
         SELECT id, $1, 1, $2 FROM users WHERE id = $3 ON CONFLICT (user_id, source) DO UPDATE SET \
         failures = CASE WHEN code_failures.began_at <= $4 THEN 1 ELSE code_failures.failures + 1 END, \
         began_at = CASE WHEN code_failures.began_at <= $5 THEN excluded.began_at ELSE code_failures.began_at END";
    FORGET_CODE_FAILURES = "DELETE FROM code_failures WHERE user_id = $1";
    COUNT_DEVICES = "SELECT CAST(COUNT(*) AS BIGINT) FROM known_devices WHERE user_id = $1 AND last_success_at > $2 \
         AND device_mac NOT IN (SELECT previous_mac FROM known_devices WHERE user_id = $3 AND previous_mac IS NOT NULL)";
    DELETE_OLD_DEVICES = "DELETE FROM known_devices WHERE last_success_at < $1";
    DELETE_OLD_CODE_FAILURES = "DELETE FROM code_failures WHERE began_at < $1";
    DELETE_UNKNOWN_NAMES = "DELETE FROM password_failures WHERE name_mac IN \
         (SELECT name_mac FROM password_failures WHERE user_id IS NULL \
         ORDER BY failures DESC, last_failure_at DESC LIMIT $1 OFFSET $2)";
}

/// The number of known browsers per user, more than one person uses. The least recently used one is forgotten.
const MAX_BROWSERS: i64 = 20;
/// The number of known clients per user, each with one address. Jobs on changing machines use many addresses.
const MAX_CLIENTS: i64 = 200;
/// The number of rows deleted in one transaction, because other writers wait for it.
const BATCH: i64 = 1000;

/// Failed passwords for a name since the last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PasswordFailures {
    /// The total.
    pub failures: i64,
    /// Those from unknown devices.
    pub unknown_failures: i64,
    /// When an unknown device last failed.
    pub last_unknown_at: UnixTime,
}

/// A device that has signed in as a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    /// When it last succeeded.
    pub last_success_at: UnixTime,
    /// The number of failures in its current window.
    pub failures: i64,
    /// When that window began.
    pub began_at: UnixTime,
    /// What kind of device it is.
    pub kind: DeviceKind,
}

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum DeviceKind {
    /// A browser, identified by a cookie.
    Browser,
    /// A client with its address, which uses the password grant.
    Client,
}

impl DeviceKind {
    fn as_str(self) -> &'static str {
        self.into()
    }

    /// The number of known devices of this kind per user.
    fn most(self) -> i64 {
        match self {
            Self::Browser => MAX_BROWSERS,
            Self::Client => MAX_CLIENTS,
        }
    }
}

/// A failed password.
#[derive(Clone, Debug)]
pub struct NewPasswordFailure {
    /// The MAC of the login name.
    pub name_mac: Vec<u8>,
    /// The user with this name. `None` if there is none.
    pub user_id: Option<UserId>,
    /// The known device that failed. `None` for an unknown one.
    pub known_device: Option<Vec<u8>>,
    /// When it failed.
    pub now: UnixTime,
    /// The window of known devices, in seconds.
    pub window_s: i64,
}

/// A successful password.
#[derive(Clone, Debug)]
pub struct NewSuccess {
    /// The MAC of the login name.
    pub name_mac: Vec<u8>,
    /// The user with this name.
    pub user_id: UserId,
    /// The device that becomes known.
    pub device_mac: Vec<u8>,
    /// Its kind.
    pub kind: DeviceKind,
    /// The device as presented. If it was known, the failures of unknown devices still count. If its MAC differs from
    /// `device_mac`, the new one replaces it, but it stays valid until the new one is presented.
    pub presented_mac: Option<Vec<u8>>,
    /// A device is known if it has signed in after this time.
    pub known_since: UnixTime,
    /// When it succeeded.
    pub now: UnixTime,
}

/// A user's failed passwords, for administrators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailureSummary {
    /// Failures since the last success.
    pub failures: PasswordFailures,
    /// The last failure.
    pub last_failure_at: Option<UnixTime>,
    /// The number of known devices, each counted once.
    pub known_devices: i64,
}

impl Change {
    /// Forgets the browsers of a user whose epoch was raised, because their cookies contain the previous epoch.
    pub(crate) async fn forget_browsers(&mut self, user: &UserId) -> Result<(), StoreError> {
        let forget = sqlx::query(FORGET_BROWSERS).bind(user.as_str()).bind(DeviceKind::Browser.as_str());
        forget.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Does the same as [`Store::add_success`] in this transaction.
    pub async fn add_success(&mut self, new: &NewSuccess) -> Result<(), StoreError> {
        add_success(&mut self.transaction, new).await
    }

    /// Forgets a user's failed passwords and one-time codes, and earlier failures for their name.
    pub async fn forget_failures(&mut self, user: &UserId, name_mac: &[u8]) -> Result<(), StoreError> {
        sqlx::query(FORGET_FAILURES).bind(name_mac.to_vec()).execute(&mut *self.transaction).await?;
        sqlx::query(FORGET_CODE_FAILURES).bind(user.as_str()).execute(&mut *self.transaction).await?;
        Ok(())
    }
}

impl Store {
    /// Returns the failed passwords for a name.
    pub async fn find_password_failures(&self, name_mac: &[u8]) -> Result<PasswordFailures, StoreError> {
        Ok(self.read_failures(name_mac).await?.unwrap_or_default().0)
    }

    async fn read_failures(&self, name_mac: &[u8]) -> Result<Option<(PasswordFailures, UnixTime)>, StoreError> {
        let query = sqlx::query(FIND_FAILURES).bind(name_mac.to_vec());
        let Some(row) = query.fetch_optional(self.reader()).await? else { return Ok(None) };
        let (failures, unknown_failures, last_unknown_at) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(Some((PasswordFailures { failures, unknown_failures, last_unknown_at }, row.try_get(3)?)))
    }

    /// Returns a device, if it has ever signed in.
    pub async fn find_device(&self, device_mac: &[u8]) -> Result<Option<KnownDevice>, StoreError> {
        let query = sqlx::query(FIND_DEVICE).bind(device_mac.to_vec());
        let Some(row) = query.fetch_optional(self.reader()).await? else {
            return Ok(None);
        };
        let (last_success_at, failures, began_at) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let kind: String = row.try_get(3)?;
        let kind = kind.parse().map_err(|_| StoreError::Broken { table: "known_devices", row: kind })?;
        Ok(Some(KnownDevice { last_success_at, failures, began_at, kind }))
    }

    /// Counts a failed password. Returns the name's failures including this one.
    pub async fn add_password_failure(&self, new: &NewPasswordFailure) -> Result<PasswordFailures, StoreError> {
        let (unknown, last_unknown_at) = if new.known_device.is_none() { (1, new.now) } else { (0, 0) };
        transact!(self, |transaction| {
            let row = sqlx::query(ADD_FAILURE)
                .bind(new.name_mac.clone())
                .bind(new.user_id.as_ref().map(|id| id.as_str().to_owned()))
                .bind(unknown)
                .bind(last_unknown_at)
                .bind(new.now)
                .fetch_one(&mut **transaction)
                .await?;
            if let Some(device) = &new.known_device {
                let ended = new.now - new.window_s;
                let add = sqlx::query(ADD_DEVICE_FAILURE).bind(ended).bind(ended).bind(new.now).bind(device.clone());
                add.execute(&mut **transaction).await?;
            }
            let (failures, unknown_failures, last_unknown_at) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok(PasswordFailures { failures, unknown_failures, last_unknown_at })
        })
    }

    /// Resets the failures of a name, and makes the device known. If the device was unknown, this also forgets the failures
    /// of unknown devices.
    pub async fn add_success(&self, new: &NewSuccess) -> Result<(), StoreError> {
        transact!(self, |transaction| { add_success(transaction, new).await })
    }

    /// Returns a user's wrong one-time codes from `source`, and when their window began.
    pub async fn find_code_failures(&self, user: &UserId, source: &str) -> Result<(i64, UnixTime), StoreError> {
        let query = sqlx::query(FIND_CODE_FAILURES).bind(user.as_str().to_owned()).bind(source.to_owned());
        match query.fetch_optional(self.reader()).await? {
            Some(row) => Ok((row.try_get(0)?, row.try_get(1)?)),
            None => Ok((0, 0)),
        }
    }

    /// Counts a wrong one-time code for each source, in windows of that source's length in seconds.
    pub async fn add_code_failure(
        &self,
        user: &UserId,
        windows: &[(&str, i64)],
        now: UnixTime,
    ) -> Result<(), StoreError> {
        transact!(self, |transaction| {
            for (source, window_s) in windows {
                let add = sqlx::query(ADD_CODE_FAILURE).bind((*source).to_owned()).bind(now).bind(user.as_str());
                add.bind(now - window_s).bind(now - window_s).execute(&mut **transaction).await?;
            }
            Ok(())
        })
    }

    /// Summarizes a user's failed passwords and the devices that signed in after `since`.
    pub async fn summarize_failures(
        &self,
        user: &UserId,
        name_mac: &[u8],
        since: UnixTime,
    ) -> Result<FailureSummary, StoreError> {
        let devices = sqlx::query(COUNT_DEVICES).bind(user.as_str()).bind(since).bind(user.as_str());
        let known_devices = devices.fetch_one(self.reader()).await?.try_get(0)?;
        let found = self.read_failures(name_mac).await?;
        let (failures, last_failure_at) = found.map_or_else(Default::default, |(failures, at)| (failures, Some(at)));
        Ok(FailureSummary { failures, last_failure_at, known_devices })
    }

    /// Deletes devices unused since `devices_before`, windows of codes from before `codes_before`, and names without a user,
    /// except the `most` with most failures. Returns their number.
    pub async fn delete_old_failures(
        &self,
        devices_before: UnixTime,
        codes_before: UnixTime,
        most: i64,
    ) -> Result<u64, StoreError> {
        let mut deleted = self.execute(DELETE_OLD_DEVICES, &[devices_before]).await?;
        deleted += self.execute(DELETE_OLD_CODE_FAILURES, &[codes_before]).await?;
        loop {
            let names = self.execute(DELETE_UNKNOWN_NAMES, &[BATCH, most]).await?;
            deleted += names;
            if names < BATCH.unsigned_abs() {
                return Ok(deleted);
            }
        }
    }
}

async fn add_success(transaction: &mut Transaction<'static, Any>, new: &NewSuccess) -> Result<(), StoreError> {
    let (user, kind) = (new.user_id.as_str(), new.kind.as_str());
    let presented = new.presented_mac.clone().unwrap_or_default();
    let forget = sqlx::query(FORGET_UNLESS_KNOWN).bind(new.name_mac.clone()).bind(presented).bind(new.known_since);
    forget.execute(&mut **transaction).await?;
    sqlx::query(END_ROW_OF_FAILURES).bind(new.name_mac.clone()).execute(&mut **transaction).await?;
    // A client presents the same MAC every time. A browser gets a new one each time.
    let replaced = new.presented_mac.clone().filter(|mac| *mac != new.device_mac).unwrap_or_default();
    let forget = sqlx::query(FORGET_REPLACED).bind(user).bind(replaced.clone()).bind(replaced.clone());
    forget.execute(&mut **transaction).await?;
    let keep = sqlx::query(KEEP_DEVICE).bind(new.device_mac.clone()).bind(kind).bind(new.now).bind(replaced).bind(user);
    keep.execute(&mut **transaction).await?;
    let forget = sqlx::query(FORGET_OLDER_DEVICES).bind(user).bind(kind).bind(user).bind(new.kind.most());
    forget.bind(user).bind(kind).execute(&mut **transaction).await?;
    Ok(())
}
