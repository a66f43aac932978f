import { global } from "./list/global";
import { hunt } from "./list/hunt";
import { identity } from "./list/identity";
import { navigation } from "./list/navigation";
import { pages } from "./list/pages";
import { quarantine } from "./list/quarantine";
import { queue } from "./list/queue";
import { reveal } from "./list/reveal";
import { stop } from "./list/stop";
import { triage } from "./list/triage";
import { updates } from "./list/updates";
import type { Action, Scope } from "./types";

/** Every user act, in the order of the help page. */
export const ACTIONS: readonly Action[] = [
  ...navigation,
  ...global,
  ...stop,
  ...queue,
  ...triage,
  ...pages,
  ...identity,
  ...reveal,
  ...updates,
  ...hunt,
  ...quarantine,
];

const byId = new Map(ACTIONS.map((action) => [action.id, action]));

/** Returns the action of `id`; an unknown one is a mistake in this program. */
export function action(id: string): Action {
  const found = byId.get(id);
  if (!found) throw new Error(`no action ${id}`);
  return found;
}

export type HelpGroup = { scope: Scope; actions: Action[] };

/** Returns the help page: each action once, under its scope. */
export function help(all: readonly Action[] = ACTIONS): HelpGroup[] {
  const groups = new Map<Scope, Action[]>();
  for (const each of all) groups.set(each.scope, [...(groups.get(each.scope) ?? []), each]);
  return [...groups].map(([scope, actions]) => ({ scope, actions }));
}
