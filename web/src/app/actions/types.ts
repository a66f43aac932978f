/** One list of user acts: buttons, palette, shortcuts and help are views of it. */
import type {
  Alert,
  AlertDetail,
  Case,
  EmergencyStop,
  RevealRequest,
  Role,
  Rollout,
  SecurityEvent,
  SessionUser,
  Vehicle,
  VehicleIdentity,
} from "../../api/types";
import type { StopAct } from "../../features/stop/api";
import type { IdentityAct } from "../../features/vehicles/identity";
import type { RevealAct, RevealHandle } from "../../features/vehicles/reveal";
import type { RolloutAct } from "../../features/configuration/updates";
import type { ReplayTarget } from "../../features/quarantine/api";
import type { Selection } from "../../features/alerts/selection";
import type { MessageKey } from "../../lib/i18n";

/** What one may do; the server checks again. */
export type Permission = "read" | "triage" | "engineer" | "admin";

const GRANTS: Record<Role, readonly Permission[]> = {
  analyst: ["read", "triage"],
  engineer: ["read", "triage", "engineer"],
  admin: ["read", "triage", "engineer", "admin"],
};
export const granted = (role: Role, permission: Permission): boolean => GRANTS[role].includes(permission);

export type Scope =
  | "global"
  | "queue"
  | "triage"
  | "alert"
  | "case"
  | "vehicle"
  | "fleet"
  | "hunt"
  | "updates"
  | "quarantine";

/** The pages on which each scope can be live; two scopes overlap when they share one. */
export const SCOPE_PAGES: Record<Scope, readonly string[]> = {
  global: [
    "overview",
    "alerts",
    "alert",
    "cases",
    "case",
    "vehicles",
    "vehicle",
    "fleet",
    "hunt",
    "health",
    "rules",
    "users",
    "configuration",
    "feeds",
    "quarantine",
  ],
  queue: ["alerts"],
  triage: ["alerts", "alert"],
  alert: ["alerts", "alert"],
  case: ["case"],
  vehicle: ["vehicle"],
  fleet: ["fleet"],
  hunt: ["hunt"],
  updates: ["configuration", "vehicle"],
  quarantine: ["quarantine"],
};
export const overlaps = (a: Scope, b: Scope): boolean =>
  SCOPE_PAGES[a].some((page) => SCOPE_PAGES[b].includes(page));

export type EvidenceTarget = { vehicleId: string; eventId: string; title: string; caseId?: string };
export type DialogRequest =
  | { kind: "palette" }
  | { kind: "help" }
  | { kind: "password" }
  | { kind: "stop"; act: StopAct }
  | { kind: "identity"; act: IdentityAct; id: string }
  | { kind: "reveal"; act: RevealAct; id: string; request: RevealRequest | undefined }
  | { kind: "upload-artifact" }
  | { kind: "propose-rollout"; vehicle?: string }
  | { kind: "decide-rollout"; act: RolloutAct; rollout: Rollout }
  | { kind: "close-alerts"; selection: Selection }
  | { kind: "open-case"; selection: Selection; title: string }
  | { kind: "add-to-case"; selection: Selection }
  | { kind: "request-evidence"; target: EvidenceTarget }
  | { kind: "close-case"; id: string }
  | { kind: "case-note"; id: string }
  | { kind: "save-query"; query: string }
  | ({ kind: "replay-quarantine" } & QuarantineHandle);

export type ShellHandle = {
  go(href: string): void;
  open(dialog: DialogRequest): void;
  focusSearch(): void;
  logout(): Promise<void>;
  undo(): Promise<void>;
  canUndo: boolean;
};
export type QueueHandle = {
  move(rows: number): void;
  edge(end: "first" | "last"): void;
  toggle(extend: boolean): void;
  selectAll(): void;
  clear(): void;
  openCursor(): void;
  showNew(): void;
  closePane(): void;
  cursor?: Alert;
  selected: number;
  fresh: number;
  paneOpen: boolean;
};
export type TriageHandle = { selection: Selection; alerts: readonly Alert[]; done(): void };
export type AlertHandle = { alert: AlertDetail; event?: SecurityEvent; full: boolean };
export type CaseHandle = { case: Case };
export type VehicleHandle = {
  vehicle: Vehicle;
  event?: SecurityEvent;
  show(tab: "topology" | "timeline" | "alerts" | "health" | "completeness" | "configuration"): void;
};
export type FleetHandle = { zoom(factor: number): void; reset(): void; nextLayer(): void };
export type HuntHandle = {
  run(): void;
  cancel(): void;
  download(): void;
  edit(): void;
  complete(): void;
  move(rows: number): void;
  query(): string;
  running: boolean;
  blank: boolean;
  rows: number;
};

/** The rollout in view, and the vehicle where it is one's page. */
export type UpdatesHandle = { vehicle?: string; rollout?: Rollout };

/** What would be taken again now, of how many entries. */
export type QuarantineHandle = { target: ReplayTarget; entries: number; done(): void };

/** What pages put at the disposal of actions while they are on screen. */
export type Handles = {
  queue?: QueueHandle;
  triage?: TriageHandle;
  alert?: AlertHandle;
  case?: CaseHandle;
  vehicle?: VehicleHandle;
  identity?: VehicleIdentity;
  reveal?: RevealHandle;
  fleet?: FleetHandle;
  hunt?: HuntHandle;
  updates?: UpdatesHandle;
  quarantine?: QuarantineHandle;
  /** Absent while nobody knows. */
  stop?: EmergencyStop;
};
export type Context = Handles & { user: SessionUser; shell: ShellHandle };

export type Undo = { text: string; run(): Promise<unknown> };
export type Action = {
  id: string;
  title: MessageKey;
  /** Each is a key or a sequence: `j`, `Shift+x`, `Ctrl+k`, `g o`. */
  keys?: readonly string[];
  scope: Scope;
  permission: Permission;
  risk: "none" | "undo" | "confirm" | "second-person";
  /** `true`, or the reason why not, which is shown. */
  enabled(c: Context): true | MessageKey;
  run(c: Context): void | Promise<Undo | void>;
};

export const always = (): true => true;

/** Returns `true`, or why `action` cannot be done now: wrong role first, then the action's own reason. */
export function availability(action: Action, context: Context): true | MessageKey {
  if (!granted(context.user.role, action.permission))
    return action.permission === "admin"
      ? "reason.admin"
      : action.permission === "engineer"
        ? "reason.engineer"
        : "reason.role";
  if (action.scope !== "global" && !context[action.scope]) return "reason.elsewhere";
  return action.enabled(context);
}
