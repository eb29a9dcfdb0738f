-- The change that made a scope: lists are the oldest first.
ALTER TABLE scopes ADD COLUMN created_change BIGINT NOT NULL DEFAULT 0;

-- Since when an entitlement is as it is: one of today is not called unused.
ALTER TABLE entitlements ADD COLUMN given_at BIGINT NOT NULL DEFAULT 0;
