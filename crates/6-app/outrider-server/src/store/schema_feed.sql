-- Feeds of foreign events, since version 6, and what the quarantine must know to take their documents again.

CREATE TABLE feed (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    format TEXT NOT NULL,
    platform TEXT,
    release TEXT,
    token_hash TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    body_bytes_max INTEGER NOT NULL,
    requests_per_minute_max INTEGER NOT NULL,
    clock_error_s INTEGER NOT NULL,
    takes_unregistered INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    reason TEXT
) STRICT;
CREATE UNIQUE INDEX feed_name ON feed (tenant, name);

ALTER TABLE quarantine ADD COLUMN units INTEGER NOT NULL DEFAULT 1;
ALTER TABLE quarantine ADD COLUMN feed TEXT;
ALTER TABLE quarantine ADD COLUMN format TEXT;
ALTER TABLE quarantine ADD COLUMN decoder TEXT;
ALTER TABLE quarantine ADD COLUMN part BLOB;
ALTER TABLE quarantine ADD COLUMN requested_at INTEGER;
ALTER TABLE quarantine ADD COLUMN requested_by TEXT;
ALTER TABLE quarantine ADD COLUMN replayed_at INTEGER;
ALTER TABLE quarantine ADD COLUMN passed INTEGER;
ALTER TABLE quarantine ADD COLUMN refused INTEGER;
