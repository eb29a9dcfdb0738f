-- Which database this is. A data directory remembers the id, and does not serve from another database. One row, made by the
-- first start of a version that knows it.
CREATE TABLE identity (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL
);
