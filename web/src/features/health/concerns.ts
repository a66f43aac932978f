import type { Health } from "../../api/types";

/** Returns how many things of the installation a person should look at; none where nothing is known. */
export function concerns(health: Health | undefined): number {
  if (!health) return 0;
  const { degraded = {}, not_evaluated: idle = {} } = health.detect;
  return (
    (health.trouble ? 1 : 0) +
    health.stages.filter((stage) => !stage.balanced).length +
    Object.keys(degraded).length +
    Object.keys(idle).length
  );
}
