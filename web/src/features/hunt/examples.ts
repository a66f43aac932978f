import type { MessageKey } from "../../lib/i18n";

/** Queries to begin with. `release` and `count` are quoted, because SQL has words of that name too. */
export const EXAMPLES: readonly { title: MessageKey; about: MessageKey; query: string }[] = [
  {
    title: "example.rare",
    about: "example.rare.about",
    query: `SELECT event_type, count(DISTINCT vehicle_id) AS vehicles,
       sum("count") AS observations, min(event_time) AS first_seen,
       max(event_time) AS last_seen
FROM events
WHERE ingest_time > (SELECT max(ingest_time) FROM events) - INTERVAL '7 days'
GROUP BY event_type
ORDER BY vehicles, observations
LIMIT 50`,
  },
  {
    title: "example.unknown_ids",
    about: "example.unknown_ids.about",
    query: `SELECT can_id, bus, model_line, count(DISTINCT vehicle_id) AS vehicles,
       sum("count") AS observations, min(event_time) AS first_seen
FROM events
WHERE event_type = 'can.unknown_id'
GROUP BY can_id, bus, model_line
ORDER BY vehicles DESC, observations DESC
LIMIT 100`,
  },
  {
    title: "example.access",
    about: "example.access.about",
    query: `SELECT vehicle_id, tester_address, target_address,
       sum(coalesce(attempts, "count")) AS attempts,
       min(event_time) AS first_seen, max(event_time) AS last_seen
FROM events
WHERE event_type IN ('diag.security_access_denied', 'diag.security_access_brute_force')
GROUP BY vehicle_id, tester_address, target_address
ORDER BY attempts DESC
LIMIT 50`,
  },
  {
    title: "example.sequence",
    about: "example.sequence.about",
    query: `SELECT a.vehicle_id, a.event_type AS first_event, a.event_time AS first_at,
       b.event_type AS then_event, b.event_time AS then_at
FROM events a
JOIN events b ON b.vehicle_id = a.vehicle_id
  AND b.event_time >= a.event_time
  AND b.event_time < a.event_time + INTERVAL '1 hour'
WHERE a.event_type LIKE 'can.%'
  AND b.event_type LIKE 'diag.%'
ORDER BY then_at DESC
LIMIT 200`,
  },
  {
    title: "example.releases",
    about: "example.releases.about",
    query: `SELECT "release", event_type, count(DISTINCT vehicle_id) AS vehicles, count(*) AS stored
FROM events
WHERE severity >= 3
GROUP BY "release", event_type
ORDER BY vehicles DESC, stored DESC
LIMIT 100`,
  },
  {
    title: "example.clocks",
    about: "example.clocks.about",
    query: `SELECT vehicle_id, count(*) AS stored,
       max(date_part('epoch', ingest_time - event_time)) AS latest_s,
       max(event_time_error_us) / 1000000 AS clock_error_s
FROM events
GROUP BY vehicle_id
ORDER BY clock_error_s DESC, latest_s DESC
LIMIT 50`,
  },
];
