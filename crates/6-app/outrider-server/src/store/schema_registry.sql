-- The registry as car makers fill it, since version 7. Vehicles share lists of ECUs, so each list is stored once.

CREATE TABLE ecu_list (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    ecus TEXT NOT NULL,
    UNIQUE (tenant, ecus)
) STRICT;
ALTER TABLE vehicle ADD COLUMN ecu_list INTEGER;
INSERT INTO ecu_list (tenant, ecus) SELECT DISTINCT tenant, ecus FROM vehicle;
UPDATE vehicle SET ecu_list =
    (SELECT e.number FROM ecu_list e WHERE e.tenant = vehicle.tenant AND e.ecus = vehicle.ecus);
ALTER TABLE vehicle DROP COLUMN ecus;
ALTER TABLE vehicle ADD COLUMN hardware TEXT NOT NULL DEFAULT '';
ALTER TABLE vehicle ADD COLUMN features TEXT NOT NULL DEFAULT '[]';
ALTER TABLE vehicle ADD COLUMN registration TEXT NOT NULL DEFAULT 'registered';
ALTER TABLE vehicle ADD COLUMN stage TEXT NOT NULL DEFAULT 'full';
CREATE INDEX vehicle_model_line ON vehicle (tenant, model_line, id);
CREATE INDEX vehicle_platform ON vehicle (tenant, platform, id);
CREATE INDEX vehicle_stage ON vehicle (tenant, stage, id);
DROP INDEX vehicle_revision;
CREATE INDEX vehicle_revision ON vehicle (tenant, revision, id);
