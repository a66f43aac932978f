-- Order in which alerts changed, since version 9: a process that serves pages while others work reads what is new by it.
-- One writer is let in at a time, so the numbers are as the changes were committed.

ALTER TABLE alert ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX alert_changed ON alert (tenant, changed);
