-- What is left of a sealing key that another one has replaced. Audit records up to `last_audit_sequence` are verified by its audit
-- key, for good; its other keys are accepted for a time, and then NULL. All is sealed by the key of now.
CREATE TABLE previous_sealing_keys (
    last_audit_sequence BIGINT PRIMARY KEY,
    ended_at BIGINT NOT NULL,
    sealed_audit_key BLOB NOT NULL,
    sealed_mac_keys BLOB
);

-- Which sealing keys the node can open with: their checks, with spaces between them. NULL of a node of an older version.
ALTER TABLE nodes ADD COLUMN sealing_keys TEXT;
