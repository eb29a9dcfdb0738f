-- What is used, and why requests were refused; no row is of one token.

-- Tokens issued, by hour.
CREATE TABLE token_counts (
    hour BIGINT NOT NULL,
    client_id TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    api_id TEXT NOT NULL,
    grant_type TEXT NOT NULL,
    tokens BIGINT NOT NULL,
    PRIMARY KEY (hour, client_id, credential_id, api_id, grant_type)
);
CREATE INDEX token_counts_by_client ON token_counts (client_id, api_id, hour);

CREATE TABLE refusals (
    request_id TEXT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    endpoint TEXT NOT NULL,
    client_id TEXT,
    address TEXT NOT NULL,
    error TEXT NOT NULL,
    reason TEXT NOT NULL,
    remedy TEXT NOT NULL,
    presented TEXT NOT NULL
);
CREATE INDEX refusals_by_time ON refusals (at);
CREATE INDEX refusals_by_client ON refusals (client_id, at);

-- Refusals beyond those that are stored whole; all unknown clients are the empty one.
CREATE TABLE refusal_counts (
    minute BIGINT NOT NULL,
    client_id TEXT NOT NULL,
    name TEXT NOT NULL,
    refusals BIGINT NOT NULL,
    PRIMARY KEY (minute, client_id, name)
);

-- The most tokens of a client, if there is a limit.
ALTER TABLE clients ADD COLUMN tokens_per_minute BIGINT;
ALTER TABLE clients ADD COLUMN tokens_per_day BIGINT;
