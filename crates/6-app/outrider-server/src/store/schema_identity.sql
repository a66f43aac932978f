-- Identity of vehicles, since version 3: states, certificates, enrolment, batch keys, and a log of all of it.

CREATE TABLE vehicle_identity (
    tenant INTEGER NOT NULL,
    vehicle_id TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, vehicle_id)
) STRICT;
CREATE INDEX vehicle_identity_revision ON vehicle_identity (tenant, revision);

CREATE TABLE vehicle_certificate (
    tenant INTEGER NOT NULL,
    serial TEXT NOT NULL,
    vehicle_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    suite TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    revoked_at INTEGER,
    revoked_for TEXT,
    revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, serial)
) STRICT;
CREATE INDEX vehicle_certificate_vehicle ON vehicle_certificate (tenant, vehicle_id, issued_at);
CREATE INDEX vehicle_certificate_revision ON vehicle_certificate (tenant, revision);

CREATE TABLE enrolment (
    tenant INTEGER NOT NULL,
    secret_hash TEXT NOT NULL,
    kind TEXT NOT NULL,
    vehicle_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    used_for TEXT,
    PRIMARY KEY (tenant, secret_hash)
) STRICT;
CREATE INDEX enrolment_vehicle ON enrolment (tenant, vehicle_id);

CREATE TABLE vehicle_batch_key (
    tenant INTEGER NOT NULL,
    vehicle_id TEXT NOT NULL,
    from_epoch INTEGER NOT NULL,
    batch_key BLOB NOT NULL,
    registered_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, vehicle_id, from_epoch)
) STRICT;
CREATE INDEX vehicle_batch_key_revision ON vehicle_batch_key (tenant, revision);

CREATE TABLE identity_log (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    vehicle_id TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    times INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX identity_log_vehicle ON identity_log (tenant, vehicle_id, number);
