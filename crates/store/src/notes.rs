//! Since when Apis, clients and users are there, and whom to ask: what administrators see and no token needs.

use std::collections::HashMap;

use countersign_protocol::UnixTime;
use sqlx::{AnyConnection, Row};

use crate::error::StoreError;
use crate::reading::read_rows;
use crate::statement::statements;

statements! {
    LOAD_APIS = "SELECT id, created_change, created_at, '' FROM apis";
    LOAD_CLIENTS = "SELECT id, created_change, created_at, owner FROM clients";
    LOAD_USERS = "SELECT id, created_change, created_at, '' FROM users";
}

/// What is noted of one of them.
#[derive(Clone, Debug, Default)]
pub struct Note {
    /// The change that made it: the order of lists.
    pub created_change: i64,
    /// When it was made; 0 for what is older than the note.
    pub created_at: UnixTime,
    /// Whom to ask about it; empty where nobody is named.
    pub owner: String,
}

/// Every note, by id.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Of Apis.
    pub apis: HashMap<String, Note>,
    /// Of clients.
    pub clients: HashMap<String, Note>,
    /// Of users.
    pub users: HashMap<String, Note>,
}

impl Notes {
    /// The note of an Api.
    pub fn of_api(&self, id: &str) -> Note {
        self.apis.get(id).cloned().unwrap_or_default()
    }

    /// The note of a client.
    pub fn of_client(&self, id: &str) -> Note {
        self.clients.get(id).cloned().unwrap_or_default()
    }

    /// The note of a user.
    pub fn of_user(&self, id: &str) -> Note {
        self.users.get(id).cloned().unwrap_or_default()
    }
}

/// Reads every note.
pub(crate) async fn load(connection: &mut AnyConnection) -> Result<Notes, StoreError> {
    Ok(Notes {
        apis: read(connection, LOAD_APIS).await?,
        clients: read(connection, LOAD_CLIENTS).await?,
        users: read(connection, LOAD_USERS).await?,
    })
}

async fn read(connection: &mut AnyConnection, statement: &'static str) -> Result<HashMap<String, Note>, StoreError> {
    let mut notes = HashMap::new();
    for row in read_rows(connection, statement, "notes").await? {
        let note = Note { created_change: row.try_get(1)?, created_at: row.try_get(2)?, owner: row.try_get(3)? };
        notes.insert(row.try_get(0)?, note);
    }
    Ok(notes)
}
