-- The VIN vault, version 1. A file of its own, with secure_delete and a rollback journal that is cut to nothing at
-- the end of each transaction: what is deleted is in no file any more.

CREATE TABLE vault_check (
    value BLOB NOT NULL
) STRICT;

CREATE TABLE vault_epoch (
    tenant INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    keeps INTEGER NOT NULL,
    begun_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, epoch)
) STRICT;

CREATE TABLE vault_vehicle (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    tag BLOB NOT NULL,
    wrapped BLOB NOT NULL,
    UNIQUE (tenant, tag)
) STRICT;

CREATE TABLE vault_pseudonym (
    tenant INTEGER NOT NULL,
    vehicle_id BLOB NOT NULL,
    vehicle INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    sealed BLOB,
    made_at INTEGER NOT NULL,
    shredded_at INTEGER,
    PRIMARY KEY (tenant, vehicle_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX vault_pseudonym_vehicle ON vault_pseudonym (vehicle, epoch);
