-- People who sign in: their sessions, what is asked through them, and the settings of the playground.

-- Only hashes of what a browser holds are kept.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    key_hash BLOB NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    user_epoch BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    token_count BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);

-- The last tokens asked through a session, which signing out revokes.
CREATE TABLE session_tokens (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    token_id TEXT NOT NULL,
    family_id TEXT,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (session_id, number)
);

-- Sign-ins under way, each of one anonymous session. `user_id` is empty for a name that nobody has.
CREATE TABLE sign_ins (
    key_hash BLOB PRIMARY KEY NOT NULL,
    session_hash BLOB NOT NULL,
    login TEXT NOT NULL,
    user_id TEXT,
    password_passed BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_ins_by_expiry ON sign_ins (expires_at);

-- The last step of which a code was accepted: no code is accepted twice.
ALTER TABLE second_factors ADD COLUMN last_step BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX second_factors_one_of_a_kind ON second_factors (user_id, kind);

-- One row; version 0 was never saved.
CREATE TABLE playground_settings (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL,
    api_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    sealed_client_secret BLOB,
    scope TEXT NOT NULL
);
INSERT INTO playground_settings (id, version, api_id, client_id, scope) VALUES (1, 0, '', '', '');
