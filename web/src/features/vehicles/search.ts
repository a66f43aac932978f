export const TABS = ["topology", "timeline", "alerts", "health", "completeness", "configuration"] as const;
export type Tab = (typeof TABS)[number];
export const isTab = (value: unknown): value is Tab => TABS.some((tab) => tab === value);

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

export const CONNECTIVITY = ["online", "recent", "silent", "never"] as const;
export const STAGES = ["full", "pilot", "planned", "out_of_scope"] as const;
export type VehiclesSearch = {
  q?: string;
  model_line?: string;
  platform?: string;
  release?: string;
  region?: string;
  stage?: (typeof STAGES)[number];
  status?: (typeof CONNECTIVITY)[number];
};
export const readVehiclesSearch = (raw: Record<string, unknown>): VehiclesSearch => ({
  q: raw["q"] === undefined ? undefined : String(raw["q"]),
  model_line: text(raw["model_line"]),
  platform: text(raw["platform"]),
  release: text(raw["release"]),
  region: text(raw["region"]),
  stage: STAGES.find((each) => each === raw["stage"]),
  status: CONNECTIVITY.find((each) => each === raw["status"]),
});

export const SPANS = ["hour", "day", "week"] as const;
export type VehicleSearch = { span?: (typeof SPANS)[number]; event?: string };
export const readVehicleSearch = (raw: Record<string, unknown>): VehicleSearch => ({
  span: SPANS.find((span) => span === raw["span"]),
  event: text(raw["event"]),
});
