import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";
import type { Case, Disposition, EvidenceRequest, Severity } from "../../api/types";
import { client } from "../../app/client";

export const caseKeys = {
  lists: ["cases", "list"] as const,
  list: (query: { status?: string; q?: string }) => ["cases", "list", query] as const,
  one: (id: string) => ["cases", "one", id] as const,
};

/** Oldest poll of an open case; the stream brings most changes long before. */
const POLL_MS = 15_000;
/** States in which a request for evidence can still change. */
const UNDER_WAY: readonly string[] = ["requested", "permitted", "sent", "accepted"];
export const isUnderWay = (request: EvidenceRequest): boolean => UNDER_WAY.includes(request.state);

export const useCases = (query: { status?: string; q?: string }) =>
  useInfiniteQuery({
    queryKey: caseKeys.list(query),
    queryFn: ({ pageParam, signal }) =>
      ask(
        http.GET("/api/v1/cases", { params: { query: { ...query, cursor: pageParam, limit: 100 } }, signal }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });

export const useCase = (id: string) =>
  useQuery({
    queryKey: caseKeys.one(id),
    queryFn: ({ signal }) => ask(http.GET("/api/v1/cases/{id}", { params: { path: { id } }, signal })),
    refetchInterval: (query) => (query.state.data?.evidence.some(isUnderWay) ? POLL_MS : false),
  });

const renew = (id: string) =>
  Promise.all([
    client.invalidateQueries({ queryKey: caseKeys.one(id) }),
    client.invalidateQueries({ queryKey: caseKeys.lists }),
    client.invalidateQueries({ queryKey: ["overview"] }),
  ]);

export async function createCase(title: string, severity: Severity, alertIds: string[]): Promise<Case> {
  const made = await ask(http.POST("/api/v1/cases", { body: { title, severity, alert_ids: alertIds } }));
  await renew(made.id);
  void client.invalidateQueries({ queryKey: ["alerts"] });
  return made;
}

export async function addNote(id: string, text: string) {
  await ask(http.POST("/api/v1/cases/{id}/notes", { params: { path: { id } }, body: { text } }));
  await renew(id);
}

export async function closeCase(id: string, disposition: Disposition, note: string) {
  await ask(http.POST("/api/v1/cases/{id}/close", { params: { path: { id } }, body: { disposition, note } }));
  await renew(id);
}

export type EvidenceWish = {
  vehicle_id: string;
  event_id: string;
  seconds_before: number;
  seconds_after: number;
};

export async function requestEvidence(caseId: string, wish: EvidenceWish): Promise<EvidenceRequest> {
  const made = await ask(
    http.POST("/api/v1/cases/{id}/evidence-requests", { params: { path: { id: caseId } }, body: wish }),
  );
  await renew(caseId);
  return made;
}
