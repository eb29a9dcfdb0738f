-- Rights that are taken away end what was issued before, and do not bring it back when they are granted again.

-- The change that made the API or gave it another audience; tokens issued before it are refused.
ALTER TABLE apis ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;

-- By here every access token and refresh family has expired that was issued while the API allowed longer lifetimes than it
-- does now. Before this version no access token had a lifetime of more than a day.
ALTER TABLE apis ADD COLUMN issued_until BIGINT NOT NULL DEFAULT 0;
UPDATE apis SET issued_until = MAX(
    CAST(strftime('%s', 'now') AS INTEGER) + 86400,
    COALESCE((SELECT MAX(expires_at) FROM refresh_families WHERE refresh_families.api_id = apis.id), 0)
);

-- What was taken from a client, or from the API itself where `client_id` is empty, and by which change. `kind` is
-- 'entitlement', 'grant' or 'scope'. A row is kept until all that was issued before the change has expired.
CREATE TABLE removals (
    client_id TEXT NOT NULL,
    api_id TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    change BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, api_id, kind, name)
);
CREATE INDEX removals_by_expiry ON removals (expires_at);
