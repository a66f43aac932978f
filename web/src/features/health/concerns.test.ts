import { describe, expect, it } from "vitest";
import type { Health } from "../../api/types";
import { concerns } from "./concerns";

const health = (more: Partial<Health>): Health => ({
  stages: [],
  log: { head_offset: 0, worker_offset: 0, lag_records: 0, bytes: 0, partitions: [] },
  lake: { version: 0, rows: 0, files: 0, bytes: 0 },
  detect: { state_entries: 0, late_findings: 0 },
  gaps: { open: 3, overdue: 2, tombstoned: 1 },
  database: { bytes: 0 },
  uptime_s: 1,
  version: "0",
  as_of: "2026-02-03T04:05:06.000000Z",
  ...more,
});
const stage = (balanced: boolean) => ({
  stage: "lake",
  unit: "events",
  received: 1,
  passed: 1,
  dropped: {},
  quarantined: {},
  balanced,
});

describe("what needs attention", () => {
  it("is nothing while nothing is known, and nothing in good health", () => {
    expect([concerns(undefined), concerns(health({ stages: [stage(true)] }))]).toEqual([0, 0]);
  });
  it("counts a stuck worker, stages out of balance and rules that see too little", () => {
    expect(concerns(health({ trouble: "disk full" }))).toBe(1);
    expect(concerns(health({ stages: [stage(false), stage(true), stage(false)] }))).toBe(2);
    const detect = {
      state_entries: 0,
      late_findings: 0,
      degraded: { a: 7, b: 1 },
      not_evaluated: { c: "no such field" },
    };
    expect(concerns(health({ detect }))).toBe(3);
  });
});
