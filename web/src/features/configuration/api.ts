import { useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";
import type { ProposeRollout, Rollout, UpdateOrder, VehicleConfiguration } from "../../api/types";
import { client } from "../../app/client";
import type { RolloutAct } from "./updates";

/** The stream brings changes at once; the poll covers a lost stream. */
const POLL_MS = 30_000;

const ROLLOUTS = ["rollouts"] as const;
const ARTIFACTS = ["artifacts"] as const;
const rolloutKey = (id: string | undefined) => ["rollouts", "one", id] as const;

/** The newest hundred; older ones are found by API and command line. */
export const useArtifacts = () =>
  useQuery({
    queryKey: ARTIFACTS,
    queryFn: ({ signal }) => ask(http.GET("/api/v1/artifacts", { signal })),
    refetchInterval: POLL_MS,
  });

export const useRollouts = () =>
  useQuery({
    queryKey: [...ROLLOUTS, "list"],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/rollouts", { signal })),
    refetchInterval: POLL_MS,
  });

export const useRollout = (id: string | undefined) =>
  useQuery({
    queryKey: rolloutKey(id),
    queryFn: ({ signal }) =>
      ask(http.GET("/api/v1/rollouts/{id}", { params: { path: { id: id ?? "" } }, signal })),
    enabled: id !== undefined,
    refetchInterval: POLL_MS,
  });

export const useConfiguration = (id: string) =>
  useQuery({
    queryKey: ["vehicles", "configuration", id],
    queryFn: ({ signal }) =>
      ask(http.GET("/api/v1/vehicles/{id}/configuration", { params: { path: { id } }, signal })),
    refetchInterval: POLL_MS,
  });

const replace = (orders: readonly UpdateOrder[], order: UpdateOrder) =>
  orders.map((each) => (each.id === order.id ? order : each));

/** Takes up an order that moved. Counts and a vehicle's own word are asked for: they are not in the order. */
export function receiveUpdate(order: UpdateOrder) {
  client.setQueryData<Rollout>(
    rolloutKey(order.rollout_id),
    (old) => old && { ...old, orders: replace(old.orders, order) },
  );
  client.setQueryData<VehicleConfiguration>(
    ["vehicles", "configuration", order.vehicle_id],
    (old) => old && { ...old, orders: replace(old.orders, order) },
  );
  void client.invalidateQueries({ queryKey: ROLLOUTS });
  void client.invalidateQueries({ queryKey: ["vehicles", "configuration", order.vehicle_id] });
}

function took(rollout: Rollout): Rollout {
  client.setQueryData<Rollout>(rolloutKey(rollout.id), rollout);
  void client.invalidateQueries({ queryKey: ROLLOUTS });
  void client.invalidateQueries({ queryKey: ["vehicles", "configuration"] });
  return rollout;
}

/** Sends a file as it is; the generated type of bytes is text. */
export async function uploadArtifact(file: Blob) {
  const stored = await ask(
    http.POST("/api/v1/artifacts", {
      body: file as unknown as string,
      bodySerializer: (body) => body,
      headers: { "content-type": "application/octet-stream" },
    }),
  );
  void client.invalidateQueries({ queryKey: ARTIFACTS });
  return stored;
}

export const propose = async (body: ProposeRollout) =>
  took(await ask(http.POST("/api/v1/rollouts", { body })));

/** Confirms or withdraws; the answer is what holds from then on. */
export async function decide(id: string, act: RolloutAct, reason: string) {
  const options = { params: { path: { id } }, body: { reason } };
  try {
    took(
      act === "confirm"
        ? await ask(http.POST("/api/v1/rollouts/{id}/confirm", options))
        : await ask(http.POST("/api/v1/rollouts/{id}/cancel", options)),
    );
  } catch (error) {
    // A refusal often means that somebody else was faster: show what holds now.
    void client.invalidateQueries({ queryKey: ROLLOUTS });
    throw error;
  }
}
