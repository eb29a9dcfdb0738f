//! Users and their password hashes.

use countersign_protocol::UnixTime;
use countersign_protocol::ids::UserId;
use countersign_protocol::secret::Secret;
use countersign_protocol::status::Status;
use countersign_protocol::user::{Login, Role, User, name_key};
use sqlx::Row;

use crate::changes::Change;
use crate::database::Store;
use crate::entry::{Beside, Ids, Stored};
use crate::error::StoreError;
use crate::list_column::{list, words};
use crate::listing::{Fetcher, Listing, Reader, Text};
use crate::statement::statements;

statements! {
    INSERT_USER = "INSERT INTO users (id, login, login_key, password_hash, roles, status, epoch, created_at, \
         created_change) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    HAS_PASSWORD = "SELECT id FROM users WHERE id = $1 AND password_hash = $2";
    SET_PASSWORD = "UPDATE users SET password_hash = $1 WHERE id = $2";
    LIST_SESSIONS = "SELECT id FROM sessions WHERE user_id = $1";
    SET_ROLES = "UPDATE users SET roles = $1 WHERE id = $2";
    RAISE_EPOCH = "UPDATE users SET epoch = $1 WHERE id = $2";
    RAISE_EPOCH_UNLESS = "UPDATE users SET epoch = $1 WHERE id = $2 AND status <> $3";
    KEEP_SESSION = "UPDATE sessions SET user_epoch = $1 WHERE id = $2";
    DELETE_USER = "DELETE FROM users WHERE id = $1";
    SET_STATUS = "UPDATE users SET status = $1 WHERE id = $2";
    FIND_PASSWORD = "SELECT id, password_hash FROM users WHERE login_key = $1";
    FIND_PASSWORD_OF = "SELECT id, password_hash FROM users WHERE id = $1";
}

const USERS: Listing = Listing {
    table: "users",
    columns: &[
        &["id"],
        &["login"],
        &["roles"],
        &["status"],
        &["epoch"],
        &["(SELECT COUNT(*) FROM second_factors WHERE second_factors.user_id = users.id)"],
        &["created_change", "created_at", "''", "last_change"],
    ],
    bytes: None,
    id: "id",
    only: "",
    order: "id",
};

/// ID, login name, roles, status, epoch, number of second factors.
type UserRow = (String, String, String, String, i64, i64, Beside);
/// A user to insert.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Their ID.
    pub id: UserId,
    /// Their login name.
    pub login: Login,
    /// The PHC string of their password.
    pub password_hash: Secret,
    /// Their roles.
    pub roles: Vec<Role>,
}

/// A stored password to verify against.
#[derive(Clone, Debug)]
pub struct StoredPassword {
    /// Its user.
    pub user_id: UserId,
    /// Its PHC string.
    pub password_hash: Secret,
}

impl Change {
    /// Inserts a user. No client or user may have their login name. Their epoch is this change.
    pub async fn insert_user(&mut self, user: &NewUser) -> Result<(), StoreError> {
        self.take_name(user.login.as_str()).await?;
        sqlx::query(INSERT_USER)
            .bind(user.id.as_str())
            .bind(user.login.as_str())
            .bind(name_key(user.login.as_str()))
            .bind(user.password_hash.expose())
            .bind(list(user.roles.iter().map(|role| role.as_str())))
            .bind(Status::Active.as_str())
            .bind(self.number)
            .bind(self.now)
            .bind(self.number)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// True if this is still the PHC string of the user's password. It cannot change until this change ends.
    pub async fn has_password(&mut self, user: &UserId, password_hash: &Secret) -> Result<bool, StoreError> {
        let select = sqlx::query(HAS_PASSWORD).bind(user.as_str()).bind(password_hash.expose());
        Ok(select.fetch_optional(&mut *self.transaction).await?.is_some())
    }

    /// Changes a user's password, which ends their tokens, their sessions and pending sign-ins. `at_least` is as in
    /// [`Store::end_session`].
    pub async fn set_password(
        &mut self,
        user: &UserId,
        password_hash: &Secret,
        at_least: UnixTime,
    ) -> Result<(), StoreError> {
        let update = sqlx::query(SET_PASSWORD).bind(password_hash.expose()).bind(user.as_str());
        update.execute(&mut *self.transaction).await?;
        self.end_user(user, at_least).await
    }

    /// Ends a user's tokens, sessions (with the tokens requested through them) and, by raising the epoch, pending sign-ins.
    /// `at_least` is as in [`Store::end_session`].
    pub async fn end_user(&mut self, user: &UserId, at_least: UnixTime) -> Result<(), StoreError> {
        self.end_user_but(user, None, at_least).await
    }

    /// The same, except for one session. `at_least` is as in [`Store::end_session`].
    pub async fn end_user_elsewhere(
        &mut self,
        user: &UserId,
        kept: &str,
        at_least: UnixTime,
    ) -> Result<(), StoreError> {
        self.end_user_but(user, Some(kept), at_least).await?;
        sqlx::query(KEEP_SESSION).bind(self.number).bind(kept.to_owned()).execute(&mut *self.transaction).await?;
        Ok(())
    }

    async fn end_user_but(&mut self, user: &UserId, kept: Option<&str>, at_least: UnixTime) -> Result<(), StoreError> {
        let update = sqlx::query(RAISE_EPOCH).bind(self.number).bind(user.as_str());
        update.execute(&mut *self.transaction).await?;
        self.forget_browsers(user).await?;
        for row in sqlx::query(LIST_SESSIONS).bind(user.as_str()).fetch_all(&mut *self.transaction).await? {
            let id: &str = row.try_get(0)?;
            if Some(id) != kept {
                self.end_session(id, at_least).await?;
            }
        }
        Ok(())
    }

    /// Sets a user's roles.
    pub async fn set_roles(&mut self, user: &UserId, roles: &[Role]) -> Result<(), StoreError> {
        let update = sqlx::query(SET_ROLES).bind(list(roles.iter().map(|role| role.as_str()))).bind(user.as_str());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Deletes a user, which invalidates their tokens and sessions.
    pub async fn delete_user(&mut self, user: &UserId, login: &Login) -> Result<(), StoreError> {
        sqlx::query(DELETE_USER).bind(user.as_str()).execute(&mut *self.transaction).await?;
        self.free_name(login.as_str()).await
    }

    /// Enables or disables a user. Both end their earlier tokens and sessions.
    pub async fn set_user_status(&mut self, user: &UserId, status: Status) -> Result<(), StoreError> {
        let raise = sqlx::query(RAISE_EPOCH_UNLESS).bind(self.number).bind(user.as_str()).bind(status.as_str());
        if raise.execute(&mut *self.transaction).await?.rows_affected() > 0 {
            self.forget_browsers(user).await?;
        }
        let update = sqlx::query(SET_STATUS).bind(status.as_str()).bind(user.as_str());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }
}

impl Store {
    /// Returns the password of the user with this login name, ignoring case.
    pub async fn find_password(&self, login: &str) -> Result<Option<StoredPassword>, StoreError> {
        self.read_password(FIND_PASSWORD, name_key(login)).await
    }

    /// Returns the password of this user.
    pub async fn find_password_of(&self, user: &UserId) -> Result<Option<StoredPassword>, StoreError> {
        self.read_password(FIND_PASSWORD_OF, user.to_string()).await
    }

    async fn read_password(&self, query: &'static str, key: String) -> Result<Option<StoredPassword>, StoreError> {
        let Some(row) = sqlx::query(query).bind(key).fetch_optional(self.reader()).await? else {
            return Ok(None);
        };
        let (id, password_hash): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let user_id = UserId::parse(&id).ok_or(StoreError::Broken { table: "users", row: id })?;
        Ok(Some(StoredPassword { user_id, password_hash: Secret::new(password_hash) }))
    }
}

pub(crate) async fn fetch(from: &mut Fetcher<'_>, ids: &Ids) -> Result<Text, StoreError> {
    from.fetch(&USERS, ids).await
}

pub(crate) fn read(fetched: Text, reader: &mut Reader) -> Result<Vec<Stored<User>>, StoreError> {
    let users = reader.read(fetched, read_user)?;
    Ok(reader.without_broken(users, |user| user.id.as_str()))
}

fn read_user((id, login, roles, status, epoch, factors, beside): UserRow) -> Option<Stored<User>> {
    let user = User {
        id: UserId::parse(&id)?,
        login: Login::parse(&login)?,
        roles: words(&roles).map(Role::parse).collect::<Option<_>>()?,
        status: Status::parse(&status)?,
        has_second_factor: factors > 0,
        epoch,
    };
    Some(Stored::new(user, beside))
}
