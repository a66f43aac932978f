import { describe, expect, it } from "vitest";
import { hasMessage } from "../../lib/i18n";
import { chord, isSingle, match, type Press } from "./keys";
import { rank } from "./rank";
import { ACTIONS, action, help } from "./registry";
import { availability, overlaps, SCOPE_PAGES, type Action, type Context, type Scope } from "./types";

const press = (key: string, more: Partial<Press> = {}): Press => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  ...more,
});

/** Pairs of actions that one press could mean on one page. */
function clashes(all: readonly Action[]): string[] {
  return all.flatMap((a, index) =>
    all
      .slice(index + 1)
      .flatMap((b) =>
        overlaps(a.scope, b.scope)
          ? (a.keys ?? []).filter((keys) => b.keys?.includes(keys)).map((keys) => `${keys}: ${a.id}, ${b.id}`)
          : [],
      ),
  );
}

/** Keys that can never end because they begin another sequence on the same page. */
function shadowed(all: readonly Action[]): string[] {
  return all.flatMap((a) =>
    (a.keys ?? []).flatMap((keys) =>
      all
        .filter((b) => overlaps(a.scope, b.scope) && b.keys?.some((other) => other.startsWith(`${keys} `)))
        .map((b) => `${keys}: ${a.id} before ${b.id}`),
    ),
  );
}

describe("the action registry", () => {
  it("gives each action an id of its own", () => {
    expect(new Set(ACTIONS.map((each) => each.id)).size).toBe(ACTIONS.length);
  });

  it("gives no key to two actions whose scopes overlap", () => {
    expect(clashes(ACTIONS)).toEqual([]);
  });

  it("would notice a clash", () => {
    const clashing: Action = { ...action("alert.acknowledge"), id: "clash", scope: "queue" };
    expect(clashes([...ACTIONS, clashing])).toEqual(["a: alert.acknowledge, clash"]);
  });

  it("lets no key hide a sequence that begins with it", () => {
    expect(shadowed(ACTIONS)).toEqual([]);
  });

  it("names every action and every scope in the message table", () => {
    const titles = ACTIONS.map((each) => each.title);
    const scopes = (Object.keys(SCOPE_PAGES) as Scope[]).map((scope) => `scope.${scope}`);
    expect([...titles, ...scopes].filter((key) => !hasMessage(key))).toEqual([]);
  });

  it("shows in help exactly the list", () => {
    const shown = help().flatMap((group) => group.actions.map((each) => each.id));
    expect(shown.toSorted()).toEqual(ACTIONS.map((each) => each.id).toSorted());
  });

  it("writes every key the way a press is named", () => {
    const written = ACTIONS.flatMap((each) => each.keys ?? []).flatMap((keys) => keys.split(" "));
    const odd = written.filter((keys) => {
      const key = keys.replace(/^(Ctrl\+)?(Alt\+)?(Shift\+)?(?=.)/, "");
      return (
        chord(
          press(key, {
            ctrlKey: keys.includes("Ctrl+"),
            altKey: keys.includes("Alt+"),
            shiftKey: keys.includes("Shift+"),
          }),
        ) !== keys
      );
    });
    expect(odd).toEqual([]);
  });
});

describe("availability", () => {
  const context = (role: Context["user"]["role"], more: Partial<Context> = {}) =>
    ({
      user: { name: "a", role, must_change_password: false },
      shell: { canUndo: false },
      ...more,
    }) as Context;

  it("tells an analyst why accounts are out of reach", () => {
    expect(availability(action("go.users"), context("analyst"))).toBe("reason.admin");
    expect(availability(action("go.users"), context("engineer"))).toBe("reason.admin");
    expect(availability(action("go.users"), context("admin"))).toBe(true);
    expect(availability(action("go.rules"), context("analyst"))).toBe("reason.engineer");
  });

  it("tells that an act belongs to another page", () => {
    expect(availability(action("alert.acknowledge"), context("analyst"))).toBe("reason.elsewhere");
  });

  it("refuses to acknowledge what is already acknowledged", () => {
    const alerts = [{ id: "1", status: "acknowledged" }] as never;
    const triage = { selection: { kind: "ids" as const, ids: new Set(["1"]) }, alerts, done: () => {} };
    expect(availability(action("alert.acknowledge"), context("analyst", { triage }))).toBe("reason.status");
    expect(availability(action("alert.close"), context("analyst", { triage }))).toBe(true);
  });
});

describe("keys", () => {
  it("names presses", () => {
    expect(chord(press("k", { ctrlKey: true }))).toBe("Ctrl+k");
    expect(chord(press("K", { metaKey: true, shiftKey: true }))).toBe("Ctrl+Shift+k");
    expect(chord(press("?", { shiftKey: true }))).toBe("?");
    expect(chord(press("X", { shiftKey: true }))).toBe("Shift+x");
    expect(chord(press("Escape"))).toBe("Escape");
  });

  it("follows a sequence", () => {
    expect(match(ACTIONS, {}, "", "g", true)).toEqual({ kind: "prefix" });
    const found = match(ACTIONS, {}, "g", "a", true);
    expect(found.kind === "action" && found.action.id).toBe("go.alerts");
    expect(match(ACTIONS, {}, "g", "z", true)).toEqual({ kind: "none" });
  });

  it("listens to a page's keys only while the page is there", () => {
    expect(match(ACTIONS, {}, "", "j", true)).toEqual({ kind: "none" });
    const found = match(ACTIONS, { queue: {} as never }, "", "j", true);
    expect(found.kind === "action" && found.action.id).toBe("queue.down");
  });

  it("can switch single keys off without losing the palette, Enter and Escape", () => {
    expect(match(ACTIONS, { queue: {} as never }, "", "j", false)).toEqual({ kind: "none" });
    expect(match(ACTIONS, {}, "", "g", false)).toEqual({ kind: "none" });
    expect(match(ACTIONS, {}, "", "Ctrl+k", false).kind).toBe("action");
    expect(match(ACTIONS, { queue: {} as never }, "", "Enter", false).kind).toBe("action");
    expect(isSingle("Escape")).toBe(false);
  });
});

describe("the palette's order", () => {
  const entries = ["Close", "Close case", "Open case", "Clear selection"].map((title) => ({ title }));
  it("puts beginnings first, then beginnings of words, then letters in order", () => {
    expect(rank("close", entries).map((each) => each.title)).toEqual(["Close", "Close case"]);
    expect(rank("case", entries).map((each) => each.title)).toEqual([
      "Open case",
      "Close case",
      "Clear selection",
    ]);
    expect(rank("clsel", entries).map((each) => each.title)).toEqual(["Clear selection"]);
    expect(rank("zz", entries)).toEqual([]);
    expect(rank("", entries)).toHaveLength(4);
  });
});
