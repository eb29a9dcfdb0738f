-- The change that made a scope: lists are the oldest first.
ALTER TABLE scopes ADD COLUMN created_change BIGINT NOT NULL DEFAULT 0;
