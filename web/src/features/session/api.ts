import { useQuery } from "@tanstack/react-query";
import { ask, http, setCsrfToken } from "../../api/client";
import type { Session } from "../../api/types";
import { client } from "../../app/client";

export const sessionKey = ["session"] as const;

const remember = (session: Session): Session => {
  setCsrfToken(session.csrf_token);
  return session;
};

export const useSession = () =>
  useQuery({
    queryKey: sessionKey,
    queryFn: async ({ signal }) => remember(await ask(http.GET("/api/v1/session", { signal }))),
    staleTime: Infinity,
    retry: false,
  });

export async function login(user: string, password: string) {
  client.setQueryData(
    sessionKey,
    remember(await ask(http.POST("/api/v1/session", { body: { user, password } }))),
  );
}

export async function logout() {
  await ask(http.DELETE("/api/v1/session"));
  endSession();
}

/** Forgets everything of the ended session; the login page appears. */
export function endSession() {
  setCsrfToken("");
  client.removeQueries({ predicate: (query) => query.queryKey[0] !== sessionKey[0] });
  void client.resetQueries({ queryKey: sessionKey });
}

export async function changePassword(old: string, next: string) {
  await ask(http.POST("/api/v1/session/password", { body: { old, new: next } }));
  await client.invalidateQueries({ queryKey: sessionKey });
}
