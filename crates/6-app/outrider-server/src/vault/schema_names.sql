-- What the VIN vault has since version 2, for the names that feeds use.

-- Whether pseudonyms are the hashes under secrets/names.key that feeds used before there was a vault.
ALTER TABLE vault_epoch ADD COLUMN by_names INTEGER NOT NULL DEFAULT 0;

-- How often pseudonyms that were given are no longer in use: by a shred, or an epoch that breaks.
CREATE TABLE vault_change (
    times INTEGER NOT NULL
) STRICT;
INSERT INTO vault_change (times) VALUES (0);
