/** Requests by generated types: paths, parameters and answers are those of `schema/openapi.json`. */
import createClient from "openapi-fetch";
import type { paths } from "./schema";
import type { ApiErrorBody } from "./types";

let csrfToken = "";
let onUnauthorised: () => void = () => {};

/** What the server said no to, with its closed code; `status` 0 means it was not reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: readonly string[] = [],
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** Remembers the token that every changing request must carry. */
export function setCsrfToken(token: string) {
  csrfToken = token;
}

/** Sets what happens when the session has ended. */
export function setUnauthorisedHandler(handler: () => void) {
  onUnauthorised = handler;
}

export const http = createClient<paths>({ baseUrl: "/", credentials: "same-origin" });
http.use({
  onRequest({ request }) {
    if (request.method !== "GET") request.headers.set("x-csrf-token", csrfToken);
    return request;
  },
});

const isErrorBody = (value: unknown): value is ApiErrorBody =>
  typeof value === "object" && value !== null && "code" in value && "message" in value;

function toError(response: Response, body: unknown): ApiError {
  if (isErrorBody(body)) return new ApiError(response.status, body.code, body.message, body.details);
  return new ApiError(response.status, `http_${response.status}`, response.statusText);
}

type Answer = { data?: unknown; error?: unknown; response: Response };

/** Returns the body of an answer, or throws an `ApiError`; an ended session is told to the shell. */
export async function ask<A extends Answer>(asked: Promise<A>): Promise<NonNullable<A["data"]>> {
  const answer = await asked.catch((error: unknown) => {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "the server cannot be reached");
  });
  if (answer.response.ok) return answer.data as NonNullable<A["data"]>;
  if (answer.response.status === 401 && csrfToken) onUnauthorised();
  throw toError(answer.response, answer.error);
}

/** Address of the event stream; `last` resumes it where the browser cannot send the header itself. */
export const streamAddress = (last: string | undefined): string =>
  `/api/v1/stream${last ? `?last_event_id=${encodeURIComponent(last)}` : ""}`;

/** Address from which a received capture is saved. */
export const evidenceAddress = (caseId: string, requestId: string): string =>
  `/api/v1/cases/${encodeURIComponent(caseId)}/evidence-requests/${encodeURIComponent(requestId)}/content`;
