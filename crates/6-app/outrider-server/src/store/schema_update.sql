-- Remote configuration, since version 4: who may sign, what was signed, who ordered it for which vehicle.

CREATE TABLE artifact_key (
    tenant INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    public_key BLOB NOT NULL,
    name TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    withdrawn_by TEXT,
    withdrawn_at INTEGER,
    PRIMARY KEY (tenant, key_id)
) STRICT;

CREATE TABLE artifact (
    tenant INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    platform TEXT,
    vehicle_id TEXT,
    key_id TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    payload_checked INTEGER NOT NULL,
    uploaded_by TEXT NOT NULL,
    uploaded_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, sha256),
    FOREIGN KEY (tenant, key_id) REFERENCES artifact_key (tenant, key_id)
) STRICT;
CREATE INDEX artifact_uploaded ON artifact (tenant, uploaded_at, sha256);

CREATE TABLE rollout (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    reason TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_at INTEGER NOT NULL,
    lapses_at INTEGER NOT NULL,
    confirmed_by TEXT,
    confirmed_at INTEGER,
    cancelled_by TEXT,
    cancelled_at INTEGER,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, sha256) REFERENCES artifact (tenant, sha256)
) STRICT;
CREATE INDEX rollout_proposed ON rollout (tenant, proposed_at, id);

CREATE TABLE update_order (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    rollout_id TEXT NOT NULL,
    vehicle_id TEXT NOT NULL,
    state TEXT NOT NULL,
    reasons TEXT NOT NULL,
    permit_id TEXT,
    command_id TEXT,
    sequence INTEGER,
    permitted_at INTEGER,
    expires_at INTEGER NOT NULL,
    frame BLOB,
    changed_at INTEGER NOT NULL,
    steps TEXT NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, rollout_id) REFERENCES rollout (tenant, id)
) STRICT;
CREATE UNIQUE INDEX update_order_command ON update_order (tenant, command_id);
CREATE UNIQUE INDEX update_order_rollout ON update_order (tenant, rollout_id, vehicle_id);
CREATE INDEX update_order_vehicle ON update_order (tenant, vehicle_id, state);
CREATE INDEX update_order_state ON update_order (tenant, state, expires_at);
CREATE INDEX update_order_permitted ON update_order (tenant, permitted_at);
