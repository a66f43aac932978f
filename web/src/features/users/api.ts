import { useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";
import type { Role } from "../../api/types";
import { client } from "../../app/client";

const usersKey = ["users"] as const;

export const useUsers = (enabled: boolean) =>
  useQuery({
    queryKey: usersKey,
    queryFn: ({ signal }) => ask(http.GET("/api/v1/users", { signal })),
    enabled,
  });

export async function createUser(name: string, role: Role, password: string) {
  await ask(http.POST("/api/v1/users", { body: { name, role, password } }));
  await client.invalidateQueries({ queryKey: usersKey });
}

export async function updateUser(
  name: string,
  change: { role?: Role; disabled?: boolean; password?: string },
) {
  await ask(http.PATCH("/api/v1/users/{name}", { params: { path: { name } }, body: change }));
  await client.invalidateQueries({ queryKey: usersKey });
}
