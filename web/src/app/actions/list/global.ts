import { preferences, setPreferences } from "../../../lib/preferences";
import { always, type Action } from "../types";

export const global: readonly Action[] = [
  { id: "palette", title: "action.palette", keys: ["Ctrl+k", ":"], scope: "global", permission: "read", risk: "none", enabled: always, run: (c) => c.shell.open({ kind: "palette" }) },
  { id: "help", title: "action.help", keys: ["?"], scope: "global", permission: "read", risk: "none", enabled: always, run: (c) => c.shell.open({ kind: "help" }) },
  { id: "search", title: "action.search", keys: ["/"], scope: "global", permission: "read", risk: "none", enabled: always, run: (c) => c.shell.focusSearch() },
  {
    id: "back", title: "action.back", keys: ["Escape"], scope: "global", permission: "read", risk: "none", enabled: always,
    run: (c) => (c.queue?.paneOpen ? c.queue.closePane() : c.queue?.clear()),
  },
  {
    id: "undo", title: "action.undo", keys: ["z"], scope: "global", permission: "triage", risk: "none",
    enabled: (c) => c.shell.canUndo || "reason.nothing_to_undo",
    run: (c) => c.shell.undo(),
  },
  {
    id: "zone", title: "action.zone", keys: ["Shift+u"], scope: "global", permission: "read", risk: "none", enabled: always,
    run: () => setPreferences({ zone: preferences().zone === "utc" ? "local" : "utc" }),
  },
  {
    id: "theme", title: "action.theme", keys: ["Shift+l"], scope: "global", permission: "read", risk: "none", enabled: always,
    run: () => setPreferences({ theme: preferences().theme === "dark" ? "light" : "dark" }),
  },
  {
    id: "single_keys", title: "action.single_keys", scope: "global", permission: "read", risk: "none", enabled: always,
    run: () => setPreferences({ singleKeys: !preferences().singleKeys }),
  },
  { id: "password", title: "action.password", scope: "global", permission: "read", risk: "none", enabled: always, run: (c) => c.shell.open({ kind: "password" }) },
  { id: "logout", title: "action.logout", scope: "global", permission: "read", risk: "none", enabled: always, run: (c) => c.shell.logout() },
];
