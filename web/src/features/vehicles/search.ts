export const TABS = ["topology", "timeline", "alerts", "health"] as const;
export type Tab = (typeof TABS)[number];
export const isTab = (value: unknown): value is Tab => TABS.some((tab) => tab === value);

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

export const CONNECTIVITY = ["online", "recent", "silent", "never"] as const;
export type VehiclesSearch = { q?: string; model_line?: string; region?: string; status?: (typeof CONNECTIVITY)[number] };
export const readVehiclesSearch = (raw: Record<string, unknown>): VehiclesSearch => ({
  q: raw["q"] === undefined ? undefined : String(raw["q"]),
  model_line: text(raw["model_line"]),
  region: text(raw["region"]),
  status: CONNECTIVITY.find((each) => each === raw["status"]),
});

export type VehicleSearch = { from?: string; to?: string; event?: string };
export const readVehicleSearch = (raw: Record<string, unknown>): VehicleSearch => ({ from: text(raw["from"]), to: text(raw["to"]), event: text(raw["event"]) });
