-- A browser gets a new id at each sign-in. Its new row names the row before, which is kept until the new id has been presented:
-- the answer with the new cookie may be lost.
ALTER TABLE known_devices ADD COLUMN previous_mac BLOB;
