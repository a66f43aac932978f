import type { MessageKey } from "../../../lib/i18n";
import { always, type Action, type Permission } from "../types";

/** The places of the navigation bar, in its order; `g` and a letter goes there. */
export const PLACES: readonly {
  id: string;
  href: string;
  title: MessageKey;
  key: string;
  permission: Permission;
}[] = [
  { id: "overview", href: "/overview", title: "nav.overview", key: "o", permission: "read" },
  { id: "alerts", href: "/alerts", title: "nav.alerts", key: "a", permission: "read" },
  { id: "cases", href: "/cases", title: "nav.cases", key: "c", permission: "read" },
  { id: "vehicles", href: "/vehicles", title: "nav.vehicles", key: "v", permission: "read" },
  { id: "fleet", href: "/fleet", title: "nav.fleet", key: "f", permission: "read" },
  { id: "hunt", href: "/hunt", title: "nav.hunt", key: "h", permission: "engineer" },
  { id: "rules", href: "/rules", title: "nav.rules", key: "r", permission: "engineer" },
  { id: "configuration", href: "/configuration", title: "nav.configuration", key: "u", permission: "read" },
  { id: "ingest", href: "/ingest", title: "nav.ingest", key: "i", permission: "read" },
  { id: "feeds", href: "/feeds", title: "nav.feeds", key: "e", permission: "engineer" },
  { id: "quarantine", href: "/quarantine", title: "nav.quarantine", key: "q", permission: "engineer" },
  { id: "health", href: "/health", title: "nav.health", key: "s", permission: "read" },
  { id: "users", href: "/users", title: "nav.users", key: ",", permission: "admin" },
];

export const navigation: readonly Action[] = PLACES.map((place) => ({
  id: `go.${place.id}`,
  title: place.title,
  keys: [`g ${place.key}`],
  scope: "global",
  permission: place.permission,
  risk: "none",
  enabled: always,
  run: (c) => c.shell.go(place.href),
}));
