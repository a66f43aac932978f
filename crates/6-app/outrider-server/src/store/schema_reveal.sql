-- Requests to show a VIN, since version 8. The VIN itself is in the vault only.

CREATE TABLE reveal_request (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    vehicle_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    requested_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    approved_by TEXT,
    approved_at INTEGER,
    opened_at INTEGER,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX reveal_request_at ON reveal_request (tenant, requested_at, id);
