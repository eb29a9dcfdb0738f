-- Nodes load what has changed instead of everything. Each API, client and user carries the change that touched it last. Triggers
-- number it and raise the counters, so that no writer can forget to, not even one at the prompt of `sqlite3`.

ALTER TABLE apis ADD COLUMN last_change BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN last_change BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN last_change BIGINT NOT NULL DEFAULT 0;
CREATE INDEX apis_by_last_change ON apis (last_change);
CREATE INDEX clients_by_last_change ON clients (last_change);
CREATE INDEX users_by_last_change ON users (last_change);

-- The oldest first: the order of lists.
CREATE INDEX clients_by_creation ON clients (created_change, id);
CREATE INDEX users_by_creation ON users (created_change, id);
-- Who may ask for tokens of an API.
CREATE INDEX entitlements_by_api ON entitlements (api_id);

-- What was deleted by which change. `kind` is 'api', 'client' or 'user'.
CREATE TABLE deletions (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    change BIGINT NOT NULL,
    deleted_at BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX deletions_by_change ON deletions (change);

-- Deletions up to this change may be forgotten: a node that has read no later one loads everything.
ALTER TABLE change_counter ADD COLUMN forgotten_change BIGINT NOT NULL DEFAULT 0;
-- The last change of signing keys, sealing keys and the settings of the playground.
ALTER TABLE change_counter ADD COLUMN keys_change BIGINT NOT NULL DEFAULT 0;
UPDATE change_counter SET forgotten_change = registry_change, keys_change = registry_change;

-- What is inserted here counts as a change of an API, a client, a user or the keys.
CREATE VIEW touched AS SELECT '' AS kind, '' AS id;
CREATE TRIGGER touch INSTEAD OF INSERT ON touched BEGIN
    UPDATE change_counter SET change = change + 1, registry_change = change + 1;
    UPDATE change_counter SET keys_change = registry_change WHERE NEW.kind = 'keys';
    UPDATE apis SET last_change = (SELECT registry_change FROM change_counter) WHERE NEW.kind = 'api' AND id = NEW.id;
    UPDATE clients SET last_change = (SELECT registry_change FROM change_counter) WHERE NEW.kind = 'client' AND id = NEW.id;
    UPDATE users SET last_change = (SELECT registry_change FROM change_counter) WHERE NEW.kind = 'user' AND id = NEW.id;
END;

-- What is inserted here counts as the deletion of an API, a client or a user.
CREATE VIEW deleted AS SELECT '' AS kind, '' AS id;
CREATE TRIGGER note_deletion INSTEAD OF INSERT ON deleted BEGIN
    UPDATE change_counter SET change = change + 1, registry_change = change + 1;
    INSERT OR REPLACE INTO deletions (kind, id, change, deleted_at)
        SELECT NEW.kind, NEW.id, registry_change, CAST(strftime('%s', 'now') AS INTEGER) FROM change_counter;
END;

-- REPLACE deletes without a word to any trigger. So whatever is about to be replaced is noted before.
CREATE TRIGGER apis_replaced BEFORE INSERT ON apis BEGIN
    INSERT INTO deleted SELECT 'api', id FROM apis WHERE audience = NEW.audience AND id <> NEW.id;
END;
CREATE TRIGGER apis_replaced_by_update BEFORE UPDATE OF id, audience ON apis BEGIN
    INSERT INTO deleted SELECT 'api', id FROM apis WHERE (id = NEW.id OR audience = NEW.audience) AND id <> OLD.id;
END;
CREATE TRIGGER clients_replaced_by_update BEFORE UPDATE OF id ON clients BEGIN
    INSERT INTO deleted SELECT 'client', id FROM clients WHERE id = NEW.id AND id <> OLD.id;
END;
CREATE TRIGGER credentials_replaced BEFORE INSERT ON credentials BEGIN
    INSERT INTO touched SELECT 'client', client_id FROM credentials WHERE id = NEW.id;
END;
CREATE TRIGGER credentials_replaced_by_update BEFORE UPDATE OF id ON credentials BEGIN
    INSERT INTO touched SELECT 'client', client_id FROM credentials WHERE id = NEW.id AND id <> OLD.id;
END;
CREATE TRIGGER users_replaced BEFORE INSERT ON users BEGIN
    INSERT INTO deleted SELECT 'user', id FROM users WHERE login_key = NEW.login_key AND id <> NEW.id;
END;
CREATE TRIGGER users_replaced_by_update BEFORE UPDATE OF id, login_key ON users BEGIN
    INSERT INTO deleted SELECT 'user', id FROM users WHERE (id = NEW.id OR login_key = NEW.login_key) AND id <> OLD.id;
END;
CREATE TRIGGER second_factors_replaced BEFORE INSERT ON second_factors BEGIN
    INSERT INTO touched SELECT 'user', user_id FROM second_factors WHERE id = NEW.id;
END;
CREATE TRIGGER second_factors_replaced_by_update BEFORE UPDATE OF id, user_id, kind ON second_factors BEGIN
    INSERT INTO touched SELECT 'user', user_id FROM second_factors
        WHERE (id = NEW.id OR (user_id = NEW.user_id AND kind = NEW.kind)) AND id <> OLD.id;
END;

-- An id is a text: in the order of SQLite, bytes come behind every text.
CREATE TRIGGER apis_checked BEFORE INSERT ON apis WHEN typeof(NEW.id) <> 'text' BEGIN
    SELECT RAISE(ABORT, 'apis.id must be a text');
END;
CREATE TRIGGER clients_checked BEFORE INSERT ON clients WHEN typeof(NEW.id) <> 'text' BEGIN
    SELECT RAISE(ABORT, 'clients.id must be a text');
END;
CREATE TRIGGER users_checked BEFORE INSERT ON users WHEN typeof(NEW.id) <> 'text' BEGIN
    SELECT RAISE(ABORT, 'users.id must be a text');
END;

-- Whoever is registered takes a name out of the one namespace of both, whoever registers them.
CREATE TRIGGER clients_named AFTER INSERT ON clients BEGIN
    INSERT INTO names SELECT LOWER(NEW.id) WHERE NOT EXISTS (SELECT 1 FROM names WHERE name_key = LOWER(NEW.id));
END;
CREATE TRIGGER clients_unnamed AFTER DELETE ON clients BEGIN
    DELETE FROM names WHERE name_key = LOWER(OLD.id);
END;
CREATE TRIGGER users_named AFTER INSERT ON users BEGIN
    INSERT INTO names SELECT NEW.login_key WHERE NOT EXISTS (SELECT 1 FROM names WHERE name_key = NEW.login_key);
END;
CREATE TRIGGER users_unnamed AFTER DELETE ON users BEGIN
    DELETE FROM names WHERE name_key = OLD.login_key;
END;

CREATE TRIGGER apis_inserted AFTER INSERT ON apis BEGIN
    INSERT INTO touched VALUES ('api', NEW.id);
END;
CREATE TRIGGER apis_updated AFTER UPDATE OF audience, name, grants, access_token_lifetime_s, algorithm, refresh_idle_s,
    refresh_absolute_s, refresh_retry_s, created_at, created_change, epoch ON apis BEGIN
    INSERT INTO touched VALUES ('api', NEW.id);
END;
CREATE TRIGGER apis_renamed AFTER UPDATE OF id ON apis BEGIN
    INSERT INTO deleted VALUES ('api', OLD.id);
    INSERT INTO touched VALUES ('api', NEW.id);
END;
CREATE TRIGGER apis_deleted AFTER DELETE ON apis BEGIN
    INSERT INTO deleted VALUES ('api', OLD.id);
END;

CREATE TRIGGER scopes_inserted AFTER INSERT ON scopes BEGIN
    INSERT INTO touched VALUES ('api', NEW.api_id);
END;
CREATE TRIGGER scopes_updated AFTER UPDATE ON scopes BEGIN
    INSERT INTO touched VALUES ('api', OLD.api_id), ('api', NEW.api_id);
END;
CREATE TRIGGER scopes_deleted AFTER DELETE ON scopes BEGIN
    INSERT INTO touched VALUES ('api', OLD.api_id);
END;

CREATE TRIGGER clients_inserted AFTER INSERT ON clients BEGIN
    INSERT INTO touched VALUES ('client', NEW.id);
END;
CREATE TRIGGER clients_updated AFTER UPDATE OF name, owner, auth_methods, status, epoch, created_at, created_change,
    tokens_per_minute, tokens_per_day ON clients BEGIN
    INSERT INTO touched VALUES ('client', NEW.id);
END;
CREATE TRIGGER clients_renamed AFTER UPDATE OF id ON clients BEGIN
    INSERT INTO deleted VALUES ('client', OLD.id);
    INSERT INTO touched VALUES ('client', NEW.id);
END;
CREATE TRIGGER clients_deleted AFTER DELETE ON clients BEGIN
    INSERT INTO deleted VALUES ('client', OLD.id);
END;

CREATE TRIGGER credentials_inserted AFTER INSERT ON credentials BEGIN
    INSERT INTO touched VALUES ('client', NEW.client_id);
END;
CREATE TRIGGER credentials_updated AFTER UPDATE OF id, client_id, label, secret_hash, not_before, expires_at, created_change
    ON credentials BEGIN
    INSERT INTO touched VALUES ('client', OLD.client_id), ('client', NEW.client_id);
END;
CREATE TRIGGER credentials_deleted AFTER DELETE ON credentials BEGIN
    INSERT INTO touched VALUES ('client', OLD.client_id);
END;

CREATE TRIGGER entitlements_inserted AFTER INSERT ON entitlements BEGIN
    INSERT INTO touched VALUES ('client', NEW.client_id);
END;
CREATE TRIGGER entitlements_updated AFTER UPDATE OF client_id, api_id, kind, scopes, grants ON entitlements BEGIN
    INSERT INTO touched VALUES ('client', OLD.client_id), ('client', NEW.client_id);
END;
CREATE TRIGGER entitlements_deleted AFTER DELETE ON entitlements BEGIN
    INSERT INTO touched VALUES ('client', OLD.client_id);
END;

-- A removal of no client is one of the API itself.
CREATE TRIGGER removals_inserted AFTER INSERT ON removals BEGIN
    INSERT INTO touched VALUES (IIF(NEW.client_id = '', 'api', 'client'), IIF(NEW.client_id = '', NEW.api_id, NEW.client_id));
END;
CREATE TRIGGER removals_updated AFTER UPDATE OF client_id, api_id, kind, name, change ON removals BEGIN
    INSERT INTO touched VALUES
        (IIF(OLD.client_id = '', 'api', 'client'), IIF(OLD.client_id = '', OLD.api_id, OLD.client_id)),
        (IIF(NEW.client_id = '', 'api', 'client'), IIF(NEW.client_id = '', NEW.api_id, NEW.client_id));
END;
CREATE TRIGGER removals_deleted AFTER DELETE ON removals BEGIN
    INSERT INTO touched VALUES (IIF(OLD.client_id = '', 'api', 'client'), IIF(OLD.client_id = '', OLD.api_id, OLD.client_id));
END;

CREATE TRIGGER users_inserted AFTER INSERT ON users BEGIN
    INSERT INTO touched VALUES ('user', NEW.id);
END;
CREATE TRIGGER users_updated AFTER UPDATE OF login, roles, status, epoch, created_at, created_change ON users BEGIN
    INSERT INTO touched VALUES ('user', NEW.id);
END;
CREATE TRIGGER users_renamed AFTER UPDATE OF id ON users BEGIN
    INSERT INTO deleted VALUES ('user', OLD.id);
    INSERT INTO touched VALUES ('user', NEW.id);
END;
CREATE TRIGGER users_deleted AFTER DELETE ON users BEGIN
    INSERT INTO deleted VALUES ('user', OLD.id);
END;

-- What is loaded is whether the user has one.
CREATE TRIGGER second_factors_inserted AFTER INSERT ON second_factors BEGIN
    INSERT INTO touched VALUES ('user', NEW.user_id);
END;
CREATE TRIGGER second_factors_updated AFTER UPDATE OF user_id ON second_factors BEGIN
    INSERT INTO touched VALUES ('user', OLD.user_id), ('user', NEW.user_id);
END;
CREATE TRIGGER second_factors_deleted AFTER DELETE ON second_factors BEGIN
    INSERT INTO touched VALUES ('user', OLD.user_id);
END;

CREATE TRIGGER signing_keys_inserted AFTER INSERT ON signing_keys BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;
CREATE TRIGGER signing_keys_updated AFTER UPDATE ON signing_keys BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;
CREATE TRIGGER signing_keys_deleted AFTER DELETE ON signing_keys BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;

CREATE TRIGGER previous_sealing_keys_inserted AFTER INSERT ON previous_sealing_keys BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;
CREATE TRIGGER previous_sealing_keys_updated AFTER UPDATE ON previous_sealing_keys BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;
CREATE TRIGGER previous_sealing_keys_deleted AFTER DELETE ON previous_sealing_keys BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;

CREATE TRIGGER sealing_key_inserted AFTER INSERT ON settings WHEN NEW.name = 'sealing_key_check' BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;
CREATE TRIGGER sealing_key_updated AFTER UPDATE ON settings WHEN 'sealing_key_check' IN (OLD.name, NEW.name) BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;
CREATE TRIGGER sealing_key_deleted AFTER DELETE ON settings WHEN OLD.name = 'sealing_key_check' BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;

CREATE TRIGGER playground_settings_inserted AFTER INSERT ON playground_settings BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;
CREATE TRIGGER playground_settings_updated AFTER UPDATE ON playground_settings BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;
CREATE TRIGGER playground_settings_deleted AFTER DELETE ON playground_settings BEGIN
    INSERT INTO touched VALUES ('keys', '');
END;
