-- What administrators need: since when things are there and whom to ask, who changed what, and what was used when.

-- `created_change` orders what was made in one second.
ALTER TABLE apis ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE apis ADD COLUMN created_change BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN created_change BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN created_change BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credentials ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credentials ADD COLUMN created_change BIGINT NOT NULL DEFAULT 0;

-- When the key came into its state, and the longest lifetime of an access token that it may have signed.
ALTER TABLE signing_keys ADD COLUMN state_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN longest_lifetime_s BIGINT NOT NULL DEFAULT 86400;
UPDATE signing_keys SET state_since = created_at;

-- What one node of many does holds a lease.
CREATE TABLE leases (
    name TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- The last use of each credential, gathered in memory and flushed now and then.
CREATE TABLE credential_uses (
    credential_id TEXT PRIMARY KEY NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    last_used_at BIGINT NOT NULL,
    use_count BIGINT NOT NULL,
    address TEXT NOT NULL
);

-- Each MAC covers its record, its sequence number and the MAC before it.
CREATE TABLE audit (
    sequence BIGINT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    before_json TEXT,
    after_json TEXT,
    mac BYTEA NOT NULL
);
