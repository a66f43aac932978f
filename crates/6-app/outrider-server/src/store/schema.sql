-- Case database, version 2. Ids and JSON are TEXT, times are microseconds since 1970 in UTC, every row names its
-- tenant. sql/tables.rs makes statements for PostgreSQL of them.

CREATE TABLE vehicle (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    model_line TEXT NOT NULL,
    platform TEXT NOT NULL,
    model_year INTEGER NOT NULL,
    release TEXT NOT NULL,
    region TEXT NOT NULL,
    h3 INTEGER,
    connectivity TEXT NOT NULL,
    ecus TEXT NOT NULL,
    buses TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    batch_key BLOB,
    last_event_at INTEGER,
    last_seen_at INTEGER,
    clock_source TEXT,
    clock_error_us INTEGER,
    clock_offset_us INTEGER,
    revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX vehicle_region ON vehicle (tenant, region);
CREATE INDEX vehicle_revision ON vehicle (tenant, revision);

CREATE TABLE vehicle_hour (
    tenant INTEGER NOT NULL,
    vehicle_id TEXT NOT NULL,
    hour INTEGER NOT NULL,
    events INTEGER NOT NULL,
    PRIMARY KEY (tenant, vehicle_id, hour)
) STRICT;
CREATE INDEX vehicle_hour_hour ON vehicle_hour (tenant, hour);

CREATE TABLE rate_minute (
    tenant INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    events INTEGER NOT NULL,
    findings INTEGER NOT NULL,
    PRIMARY KEY (tenant, minute)
) STRICT;

CREATE TABLE alert (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    grouping TEXT NOT NULL,
    episode INTEGER NOT NULL,
    rule_id TEXT NOT NULL,
    rule_title TEXT NOT NULL,
    severity INTEGER NOT NULL,
    status TEXT NOT NULL,
    disposition TEXT,
    title TEXT NOT NULL,
    group_values TEXT NOT NULL,
    model_line TEXT,
    vehicle_count INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    finding_count INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    detected_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    late INTEGER NOT NULL,
    owner TEXT,
    case_id TEXT,
    tags TEXT NOT NULL,
    search TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX alert_last ON alert (tenant, status, last_at, id);
CREATE INDEX alert_grouping ON alert (tenant, grouping, episode);
CREATE INDEX alert_rule ON alert (tenant, rule_id);
CREATE INDEX alert_case ON alert (tenant, case_id);

CREATE TABLE finding (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    window_from INTEGER NOT NULL,
    window_to INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    late INTEGER NOT NULL,
    withdrawn INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    threshold INTEGER,
    value INTEGER,
    event_count INTEGER NOT NULL,
    vehicle_count INTEGER NOT NULL,
    model_line TEXT,
    matched TEXT NOT NULL,
    events TEXT NOT NULL,
    detected_at INTEGER NOT NULL,
    log_next INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX finding_log ON finding (tenant, log_next);
CREATE INDEX finding_alert ON finding (tenant, alert_id, window_from);
CREATE INDEX finding_rule ON finding (tenant, rule_id);

CREATE TABLE alert_vehicle (
    tenant INTEGER NOT NULL,
    alert_id TEXT NOT NULL,
    vehicle_id TEXT NOT NULL,
    PRIMARY KEY (tenant, alert_id, vehicle_id)
) STRICT;
CREATE INDEX alert_vehicle_vehicle ON alert_vehicle (tenant, vehicle_id);

CREATE TABLE alert_history (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    alert_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    note TEXT
) STRICT;
CREATE INDEX alert_history_alert ON alert_history (tenant, alert_id);

CREATE TABLE case_file (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    severity INTEGER NOT NULL,
    status TEXT NOT NULL,
    disposition TEXT,
    owner TEXT,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX case_file_updated ON case_file (tenant, updated_at, id);

CREATE TABLE case_timeline (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    case_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    reference TEXT,
    FOREIGN KEY (tenant, case_id) REFERENCES case_file (tenant, id)
) STRICT;
CREATE INDEX case_timeline_case ON case_timeline (tenant, case_id);

CREATE TABLE evidence_request (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    case_id TEXT NOT NULL,
    vehicle_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    seconds_before INTEGER NOT NULL,
    seconds_after INTEGER NOT NULL,
    requested_by TEXT NOT NULL,
    requested_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    reasons TEXT NOT NULL,
    permit_id TEXT,
    command_id TEXT,
    sequence INTEGER,
    expires_at INTEGER,
    frame BLOB,
    sha256 TEXT,
    bytes INTEGER,
    media_type TEXT,
    received_at INTEGER,
    steps TEXT NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, case_id) REFERENCES case_file (tenant, id)
) STRICT;
CREATE UNIQUE INDEX evidence_command ON evidence_request (tenant, command_id);
CREATE INDEX evidence_vehicle ON evidence_request (tenant, vehicle_id, state);
CREATE INDEX evidence_case ON evidence_request (tenant, case_id);

CREATE TABLE command_sequence (
    tenant INTEGER NOT NULL,
    vehicle_id TEXT NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (tenant, vehicle_id)
) STRICT;

CREATE TABLE emergency_stop (
    tenant INTEGER PRIMARY KEY,
    set_by TEXT NOT NULL,
    set_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    release_by TEXT,
    release_at INTEGER,
    release_reason TEXT
) STRICT;

CREATE TABLE user_account (
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    password TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    must_change_password INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    locked_until INTEGER NOT NULL,
    last_login_at INTEGER,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT;

CREATE TABLE unknown_login (
    tenant INTEGER NOT NULL,
    day INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
) STRICT;

CREATE TABLE session (
    token_hash TEXT PRIMARY KEY,
    tenant INTEGER NOT NULL,
    user_name TEXT NOT NULL,
    csrf TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    FOREIGN KEY (tenant, user_name) REFERENCES user_account (tenant, name)
) STRICT;

CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;

CREATE TABLE checkpoint (
    tenant INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    name TEXT NOT NULL,
    log_offset INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (tenant, partition, name)
) STRICT;

CREATE TABLE quarantine (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    at INTEGER NOT NULL,
    vehicle_id TEXT,
    reason TEXT NOT NULL,
    place TEXT NOT NULL,
    size INTEGER NOT NULL,
    content BLOB NOT NULL
) STRICT;
