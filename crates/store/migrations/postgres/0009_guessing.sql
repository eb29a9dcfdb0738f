-- Failed passwords and one-time codes, and the devices from which people sign in. Every node reads them, and they survive a
-- restart.

-- Failed passwords of one name since the last success. `user_id` is empty for a name that nobody has.
CREATE TABLE password_failures (
    name_mac BYTEA PRIMARY KEY NOT NULL,
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    failures BIGINT NOT NULL,
    unknown_failures BIGINT NOT NULL,
    last_unknown_at BIGINT NOT NULL,
    last_failure_at BIGINT NOT NULL
);
CREATE INDEX password_failures_by_count ON password_failures (user_id, failures, last_failure_at);

-- A device that has succeeded for a user. `kind` is 'browser' or 'client'.
CREATE TABLE known_devices (
    device_mac BYTEA PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    last_success_at BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    began_at BIGINT NOT NULL
);
CREATE INDEX known_devices_by_user ON known_devices (user_id, kind, last_success_at);
CREATE INDEX known_devices_by_age ON known_devices (last_success_at);

-- Wrong one-time codes of one user, from one network and, where `source` is empty, from everywhere.
CREATE TABLE code_failures (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    failures BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, source)
);
CREATE INDEX code_failures_by_age ON code_failures (began_at);

-- A sign-in under way is sealed into its id, so that beginning one writes nothing. A row says that the password was right,
-- or that the sign-in has ended.
DROP TABLE sign_ins;
CREATE TABLE sign_ins (
    key_hash BYTEA PRIMARY KEY NOT NULL,
    ended BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_ins_by_expiry ON sign_ins (expires_at);
