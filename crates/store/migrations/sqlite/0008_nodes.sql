-- When the secrets of a client were last rotated, so that a second rotation in the same minute is not made by accident; 0 for
-- never.
ALTER TABLE clients ADD COLUMN rotated_at BIGINT NOT NULL DEFAULT 0;

-- The nodes that share this database, each by its heartbeat. A file of SQLite has one process, and no rows.
CREATE TABLE nodes (
    id TEXT PRIMARY KEY NOT NULL,
    seen_at_ms BIGINT NOT NULL,
    -- The registry that it decides by.
    registry_change BIGINT NOT NULL
);

-- The database's own clock, in milliseconds since 1970: those of the nodes differ.
CREATE VIEW database_clock AS SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS BIGINT) AS now_ms;
