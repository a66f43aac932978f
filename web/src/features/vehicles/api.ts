import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";
import type { RevealRequest } from "../../api/types";
import { client } from "../../app/client";
import type { IdentityAct } from "./identity";
import type { VehiclesSearch } from "./search";

export const useVehicles = (query: VehiclesSearch) =>
  useInfiniteQuery({
    queryKey: ["vehicles", "list", query],
    queryFn: ({ pageParam, signal }) =>
      ask(
        http.GET("/api/v1/vehicles", {
          params: { query: { sort: "-worst_severity", ...query, cursor: pageParam, limit: 100 } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });

export const useVehicle = (id: string) =>
  useQuery({
    queryKey: ["vehicles", "one", id],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/vehicles/{id}", { params: { path: { id } }, signal })),
    refetchInterval: 30_000,
  });

/** Events of the newest page that decide what is said of the detectors; as many as one page can have. */
const RECENT_MAX = 500;

export const useRecentEvents = (id: string) =>
  useQuery({
    queryKey: ["vehicles", "recent", id],
    queryFn: ({ signal }) =>
      ask(
        http.GET("/api/v1/vehicles/{id}/timeline", {
          params: { path: { id }, query: { limit: RECENT_MAX } },
          signal,
        }),
      ),
    refetchInterval: 30_000,
  });

export const useTimeline = (id: string, from: string | undefined) =>
  useInfiniteQuery({
    queryKey: ["vehicles", "timeline", id, from],
    queryFn: ({ pageParam, signal }) =>
      ask(
        http.GET("/api/v1/vehicles/{id}/timeline", {
          params: { path: { id }, query: { from, cursor: pageParam, limit: 100 } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });

const identityKey = (id: string) => ["vehicles", "identity", id] as const;

export const useIdentity = (id: string) =>
  useQuery({
    queryKey: identityKey(id),
    queryFn: ({ signal }) =>
      ask(http.GET("/api/v1/vehicles/{id}/identity", { params: { path: { id } }, signal })),
    refetchInterval: 30_000,
  });

/** Changes a vehicle's state; the answer is what holds from then on. */
export async function changeIdentity(id: string, act: IdentityAct, reason: string) {
  const options = { params: { path: { id } }, body: { reason } };
  const ways = {
    suspend: () => http.POST("/api/v1/vehicles/{id}/suspend", options),
    resume: () => http.POST("/api/v1/vehicles/{id}/resume", options),
    revoke: () => http.POST("/api/v1/vehicles/{id}/revoke", options),
  };
  try {
    client.setQueryData(identityKey(id), await ask(ways[act]()));
  } catch (error) {
    // A refusal often means that somebody else was faster: show what holds now.
    void client.invalidateQueries({ queryKey: identityKey(id) });
    throw error;
  }
}

const REVEALS = ["reveals"] as const;

/** Requests to show the VIN of a vehicle, newest first. Answers engineers only: others get what the server says. */
export const useReveals = (id: string) =>
  useQuery({
    queryKey: REVEALS,
    queryFn: ({ signal }) => ask(http.GET("/api/v1/reveal-requests", { signal })),
    select: (all: RevealRequest[]) => all.filter((each) => each.vehicle_id === id),
    refetchInterval: 15_000,
  });

/** Looks again whatever came of it: a refusal often means that somebody else was faster. */
const thenLook = async <T>(answer: Promise<T>): Promise<T> => {
  try {
    return await answer;
  } finally {
    void client.invalidateQueries({ queryKey: REVEALS });
  }
};

export const askReveal = (id: string, reason: string) =>
  thenLook(ask(http.POST("/api/v1/vehicles/{id}/reveal", { params: { path: { id } }, body: { reason } })));

export const approveReveal = ({ id }: RevealRequest) =>
  thenLook(ask(http.POST("/api/v1/reveal-requests/{id}/approve", { params: { path: { id } } })));

/** Shows the VIN, once. It goes past the cache: nothing but the dialog may keep it. */
export const openReveal = async ({ id }: RevealRequest) =>
  (await thenLook(ask(http.POST("/api/v1/reveal-requests/{id}/open", { params: { path: { id } } })))).vin;
