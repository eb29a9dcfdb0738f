-- What is typed as a user name may be a password typed into the wrong field: only a MAC of it is kept. Sign-ins under way
-- begin again.
DELETE FROM sign_ins;
ALTER TABLE sign_ins DROP COLUMN login;
ALTER TABLE sign_ins ADD COLUMN name_mac BLOB NOT NULL DEFAULT x'';
