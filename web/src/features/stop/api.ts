import { useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";
import type { EmergencyStop } from "../../api/types";
import { client } from "../../app/client";
import { t } from "../../lib/i18n";
import { toast } from "../../ui/toasts";

const KEY = ["stop"] as const;
/** The stream brings changes at once; the poll covers a lost stream. */
const POLL_MS = 15_000;

export const useStop = () =>
  useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => ask(http.GET("/api/v1/stop", { signal })),
    refetchInterval: POLL_MS,
  });

/** Takes up a newer state; an answer under way to an older question must not overwrite it. */
export function receiveStop(next: EmergencyStop) {
  const before = client.getQueryData<EmergencyStop>(KEY);
  void client.cancelQueries({ queryKey: KEY });
  client.setQueryData<EmergencyStop>(KEY, next);
  if (before?.is_set && !next.is_set) toast({ text: t("toast.stop_released") });
}

export type StopAct = "set" | "propose" | "confirm";

/** Sets the stop, or proposes or confirms its release; the server knows which half of a release it is. */
export async function actOnStop(act: StopAct, reason: string) {
  try {
    const body = { reason };
    receiveStop(
      act === "set"
        ? await ask(http.POST("/api/v1/stop", { body }))
        : await ask(http.POST("/api/v1/stop/release", { body })),
    );
  } catch (error) {
    // A refusal often means that somebody else was faster: show what holds now.
    void client.invalidateQueries({ queryKey: KEY });
    throw error;
  }
}
