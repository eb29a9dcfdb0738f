-- A refresh whose answer was lost is asked for again: for so long it gives the same refresh token again.
ALTER TABLE apis ADD COLUMN refresh_retry_s BIGINT NOT NULL DEFAULT 30;

-- A token that was used names its successor. While that is unused, `retry_salt` is by what it was derived, and `retry_until` is
-- when this is forgotten.
ALTER TABLE refresh_tokens ADD COLUMN successor_hash BYTEA;
ALTER TABLE refresh_tokens ADD COLUMN retry_salt BYTEA;
ALTER TABLE refresh_tokens ADD COLUMN retry_until BIGINT;
CREATE INDEX refresh_tokens_by_retry ON refresh_tokens (retry_until) WHERE retry_until IS NOT NULL;
