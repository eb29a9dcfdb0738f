-- Nodes load what has changed instead of everything. Each API, client and user carries the change that touched it last. Triggers
-- number it and raise the counters, once a transaction, so that no writer can forget to, not even one at the prompt of `psql`.

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

-- The change that this transaction is, once it has raised the counters, for the rest of it.
CREATE FUNCTION note_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('countersign.change', NEW.registry_change::TEXT, TRUE);
    RETURN NULL;
END $$;
CREATE TRIGGER change_counter_raised AFTER UPDATE OF registry_change ON change_counter
    FOR EACH ROW EXECUTE FUNCTION note_change();

-- The same, and raises them if it has not yet.
CREATE FUNCTION this_change() RETURNS BIGINT LANGUAGE plpgsql AS $$
BEGIN
    IF COALESCE(current_setting('countersign.change', TRUE), '') = '' THEN
        UPDATE change_counter SET change = change + 1, registry_change = change + 1;
    END IF;
    RETURN CAST(current_setting('countersign.change') AS BIGINT);
END $$;

CREATE FUNCTION touch_api(touched TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    number BIGINT := this_change();
BEGIN
    UPDATE apis SET last_change = number WHERE id = touched AND last_change <> number;
END $$;

CREATE FUNCTION touch_client(touched TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    number BIGINT := this_change();
BEGIN
    UPDATE clients SET last_change = number WHERE id = touched AND last_change <> number;
END $$;

CREATE FUNCTION touch_user(touched TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    number BIGINT := this_change();
BEGIN
    UPDATE users SET last_change = number WHERE id = touched AND last_change <> number;
END $$;

-- An API, a client or a user itself.
CREATE FUNCTION touch_row() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.last_change := this_change();
    RETURN NEW;
END $$;

-- Its kind is the argument.
CREATE FUNCTION note_deletion() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.id <> NEW.id THEN
        INSERT INTO deletions (kind, id, change, deleted_at)
            VALUES (TG_ARGV[0], OLD.id, this_change(), CAST(EXTRACT(EPOCH FROM now()) AS BIGINT))
            ON CONFLICT (kind, id) DO UPDATE SET change = excluded.change, deleted_at = excluded.deleted_at;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION touch_by_scope() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM touch_api(OLD.api_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM touch_api(NEW.api_id);
    END IF;
    RETURN NULL;
END $$;

-- A credential, or an entitlement.
CREATE FUNCTION touch_by_client() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM touch_client(OLD.client_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM touch_client(NEW.client_id);
    END IF;
    RETURN NULL;
END $$;

-- A removal of no client is one of the API itself.
CREATE FUNCTION touch_by_removal() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM CASE OLD.client_id WHEN '' THEN touch_api(OLD.api_id) ELSE touch_client(OLD.client_id) END;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM CASE NEW.client_id WHEN '' THEN touch_api(NEW.api_id) ELSE touch_client(NEW.client_id) END;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION touch_by_second_factor() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM touch_user(OLD.user_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM touch_user(NEW.user_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION touch_keys() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    number BIGINT := this_change();
BEGIN
    UPDATE change_counter SET keys_change = number WHERE keys_change <> number;
    RETURN NULL;
END $$;

CREATE TRIGGER apis_touched BEFORE INSERT OR UPDATE OF id, audience, name, grants, access_token_lifetime_s, algorithm,
    refresh_idle_s, refresh_absolute_s, refresh_retry_s, created_at, created_change, epoch ON apis
    FOR EACH ROW EXECUTE FUNCTION touch_row();
CREATE TRIGGER apis_deleted AFTER DELETE OR UPDATE OF id ON apis FOR EACH ROW EXECUTE FUNCTION note_deletion('api');
CREATE TRIGGER scopes_touched AFTER INSERT OR UPDATE OR DELETE ON scopes
    FOR EACH ROW EXECUTE FUNCTION touch_by_scope();

CREATE TRIGGER clients_touched BEFORE INSERT OR UPDATE OF id, name, owner, auth_methods, status, epoch, created_at,
    created_change, tokens_per_minute, tokens_per_day ON clients
    FOR EACH ROW EXECUTE FUNCTION touch_row();
CREATE TRIGGER clients_deleted AFTER DELETE OR UPDATE OF id ON clients FOR EACH ROW EXECUTE FUNCTION note_deletion('client');
CREATE TRIGGER credentials_touched AFTER INSERT OR DELETE OR UPDATE OF id, client_id, label, secret_hash, not_before,
    expires_at, created_change ON credentials
    FOR EACH ROW EXECUTE FUNCTION touch_by_client();
CREATE TRIGGER entitlements_touched AFTER INSERT OR DELETE OR UPDATE OF client_id, api_id, kind, scopes, grants
    ON entitlements
    FOR EACH ROW EXECUTE FUNCTION touch_by_client();
CREATE TRIGGER removals_touched AFTER INSERT OR DELETE OR UPDATE OF client_id, api_id, kind, name, change ON removals
    FOR EACH ROW EXECUTE FUNCTION touch_by_removal();

CREATE TRIGGER users_touched BEFORE INSERT OR UPDATE OF id, login, roles, status, epoch, created_at, created_change ON users
    FOR EACH ROW EXECUTE FUNCTION touch_row();
CREATE TRIGGER users_deleted AFTER DELETE OR UPDATE OF id ON users FOR EACH ROW EXECUTE FUNCTION note_deletion('user');
-- What is loaded is whether the user has one.
CREATE TRIGGER second_factors_touched AFTER INSERT OR DELETE OR UPDATE OF user_id ON second_factors
    FOR EACH ROW EXECUTE FUNCTION touch_by_second_factor();

CREATE TRIGGER signing_keys_touched AFTER INSERT OR UPDATE OR DELETE ON signing_keys
    FOR EACH ROW EXECUTE FUNCTION touch_keys();
CREATE TRIGGER previous_sealing_keys_touched AFTER INSERT OR UPDATE OR DELETE ON previous_sealing_keys
    FOR EACH ROW EXECUTE FUNCTION touch_keys();
CREATE TRIGGER playground_settings_touched AFTER INSERT OR UPDATE OR DELETE ON playground_settings
    FOR EACH ROW EXECUTE FUNCTION touch_keys();
CREATE TRIGGER sealing_key_inserted AFTER INSERT ON settings FOR EACH ROW WHEN (NEW.name = 'sealing_key_check')
    EXECUTE FUNCTION touch_keys();
CREATE TRIGGER sealing_key_updated AFTER UPDATE ON settings FOR EACH ROW
    WHEN ('sealing_key_check' IN (OLD.name, NEW.name))
    EXECUTE FUNCTION touch_keys();
CREATE TRIGGER sealing_key_deleted AFTER DELETE ON settings FOR EACH ROW WHEN (OLD.name = 'sealing_key_check')
    EXECUTE FUNCTION touch_keys();

-- Whoever is registered takes a name out of the one namespace of both, whoever registers them.
CREATE FUNCTION name_client() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM names WHERE name_key = LOWER(OLD.id);
    ELSE
        INSERT INTO names (name_key) VALUES (LOWER(NEW.id)) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER clients_named AFTER INSERT OR DELETE ON clients FOR EACH ROW EXECUTE FUNCTION name_client();
CREATE FUNCTION name_user() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM names WHERE name_key = OLD.login_key;
    ELSE
        INSERT INTO names (name_key) VALUES (NEW.login_key) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER users_named AFTER INSERT OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION name_user();

-- TRUNCATE names no row: everything is to be loaded.
CREATE FUNCTION touch_everything() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    number BIGINT := this_change();
BEGIN
    UPDATE change_counter SET forgotten_change = number;
    RETURN NULL;
END $$;

-- Tables are found where they are made now, whoever writes, and never among temporary ones.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['apis', 'scopes', 'clients', 'credentials', 'entitlements', 'removals', 'users',
        'second_factors', 'signing_keys', 'previous_sealing_keys', 'playground_settings', 'settings'] LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION touch_everything()',
            name || '_truncated', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['this_change()', 'touch_api(TEXT)', 'touch_client(TEXT)', 'touch_user(TEXT)', 'touch_row()',
        'note_deletion()', 'touch_by_scope()', 'touch_by_client()', 'touch_by_removal()', 'touch_by_second_factor()',
        'touch_keys()', 'name_client()', 'name_user()', 'touch_everything()'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END $$;
