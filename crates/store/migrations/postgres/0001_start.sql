-- Everything Countersign must remember. Dates are seconds since 1970; lists are separated by one space.

-- One row. Each change to what the registry holds raises both counters, each revocation only `change`;
-- the lock on this row orders the commits.
CREATE TABLE change_counter (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    change BIGINT NOT NULL,
    registry_change BIGINT NOT NULL
);
INSERT INTO change_counter (id, change, registry_change) VALUES (1, 1, 1);

-- Facts about this database itself.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE apis (
    id TEXT PRIMARY KEY,
    audience TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    grants TEXT NOT NULL,
    access_token_lifetime_s BIGINT NOT NULL,
    algorithm TEXT NOT NULL,
    refresh_idle_s BIGINT NOT NULL,
    refresh_absolute_s BIGINT NOT NULL
);

-- Rules are separated by a line feed.
CREATE TABLE scopes (
    api_id TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    rules TEXT NOT NULL,
    is_default BIGINT NOT NULL,
    PRIMARY KEY (api_id, name)
);

-- Client ids and login names in lower case: one namespace.
CREATE TABLE names (
    name_key TEXT PRIMARY KEY
);

CREATE TABLE clients (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    auth_methods TEXT NOT NULL,
    status TEXT NOT NULL,
    epoch BIGINT NOT NULL
);

CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    label TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    not_before BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX credentials_by_client ON credentials (client_id);

-- `kind` is 'ask' (with scopes and grants) or 'introspect' (without).
CREATE TABLE entitlements (
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    api_id TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    scopes TEXT NOT NULL,
    grants TEXT NOT NULL,
    PRIMARY KEY (client_id, api_id, kind)
);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    login TEXT NOT NULL,
    login_key TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    roles TEXT NOT NULL,
    status TEXT NOT NULL,
    epoch BIGINT NOT NULL
);

CREATE TABLE second_factors (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    sealed_seed BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX second_factors_by_user ON second_factors (user_id);

-- `state` is 'pending', 'active', 'retiring' or 'retired'; one key of an algorithm is active.
CREATE TABLE signing_keys (
    id TEXT PRIMARY KEY,
    algorithm TEXT NOT NULL,
    state TEXT NOT NULL,
    sealed_pkcs8 BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (algorithm) WHERE state = 'active';

CREATE TABLE refresh_families (
    id TEXT PRIMARY KEY,
    client_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    api_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    auth_time BIGINT NOT NULL,
    client_epoch BIGINT NOT NULL,
    user_epoch BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX refresh_families_by_expiry ON refresh_families (expires_at);

CREATE TABLE refresh_tokens (
    token_hash BYTEA PRIMARY KEY,
    family_id TEXT NOT NULL REFERENCES refresh_families (id) ON DELETE CASCADE,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    access_token_expires_at BIGINT NOT NULL,
    spent_at BIGINT
);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family_id);

-- Each row ends with the last token that it kills.
CREATE TABLE revocations (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    change BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX revocations_by_change ON revocations (change);
