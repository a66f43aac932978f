// Serves the built dashboard with a stand-in API, so that browser tests need no other program.
// Usage: node e2e/mock-server.mjs [port] [alerts]
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";
import { capture, findCase, makeState, route } from "./mock-api.mjs";
import { push } from "./mock-base.mjs";
import { NOW_MS, stamp } from "./mock-data.mjs";

const DIST = new URL("../dist/", import.meta.url).pathname;
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};

const json = (response, status, body) => {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(body === undefined ? undefined : JSON.stringify(body));
};

function session(state, token) {
  const user = { name: state.user, role: state.role, must_change_password: state.mustChange };
  return {
    user,
    csrf_token: createHash("sha256").update(token).digest("hex").slice(0, 24),
    expires_at: stamp(NOW_MS + 8 * 3_600_000),
  };
}

async function readBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  if (request.headers["content-type"] === "application/octet-stream")
    return { octets: Buffer.concat(chunks) };
  const text = Buffer.concat(chunks).toString();
  return text ? JSON.parse(text) : {};
}

function stream(state, request, response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(`: open\n\n`);
  const last = Number(request.headers["last-event-id"] ?? 0);
  state.resumed = last;
  state.streams.add(response);
  request.on("close", () => state.streams.delete(response));
}

async function api(state, request, response, url) {
  const path = url.pathname.slice("/api/v1".length);
  const token = /outrider_session=([0-9a-f]+)/.exec(request.headers.cookie ?? "")?.[1];
  const known = token && state.sessions.has(token);
  const body = request.method === "GET" ? {} : await readBody(request);
  if (path === "/session" && request.method === "POST") {
    if (body.user !== "mara" || body.password !== "correct horse battery")
      return json(response, 401, {
        code: "refused",
        message: "user or password is wrong, or the account is locked for a while after too many failures",
      });
    const fresh = randomBytes(16).toString("hex");
    state.sessions.set(fresh, true);
    response.setHeader("set-cookie", `outrider_session=${fresh}; HttpOnly; SameSite=Strict; Path=/`);
    return json(response, 200, session(state, fresh));
  }
  if (!known) return json(response, 401, { code: "no_session", message: "log in first" });
  if (request.method !== "GET" && request.headers["x-csrf-token"] !== session(state, token).csrf_token)
    return json(response, 403, {
      code: "bad_csrf_token",
      message: "the request does not come from this dashboard",
    });
  if (path === "/session" && request.method === "DELETE") {
    state.sessions.delete(token);
    return json(response, 204);
  }
  if (path === "/session") return json(response, 200, session(state, token));
  if (path === "/session/password") {
    state.mustChange = false;
    return json(response, 200, session(state, token));
  }
  if (path === "/stream") return stream(state, request, response);
  if (state.fail.some((each) => path.startsWith(each)))
    return json(response, 422, { code: "broken_on_purpose", message: "this answer is an error for a test" });
  const content = /^\/cases\/([^/]+)\/evidence-requests\/([^/]+)\/content$/.exec(path);
  if (content) {
    const wanted = findCase(state, content[1]).evidence.find((each) => each.id === content[2]);
    response.writeHead(200, {
      "content-type": wanted.media_type,
      "content-disposition": `attachment; filename="${wanted.id}.pcap"`,
    });
    return response.end(capture(wanted.event_id));
  }
  const found = route(request.method, path);
  if (!found) return json(response, 404, { code: "not_found", message: "no such endpoint" });
  return json(
    response,
    200,
    await found.answer(state, found.parts, Object.fromEntries(url.searchParams), body),
  );
}

function asset(request, response, url) {
  const path = normalize(url.pathname);
  const file = join(DIST, path);
  if (path !== "/" && existsSync(file) && extname(file)) {
    response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
    if (existsSync(`${file}.br`) && /\bbr\b/.test(request.headers["accept-encoding"] ?? "")) {
      response.setHeader("content-encoding", "br");
      return createReadStream(`${file}.br`).pipe(response);
    }
    return createReadStream(file).pipe(response);
  }
  if (path.startsWith("/assets/"))
    return json(response, 404, { code: "not_found", message: "no such asset" });
  const nonce = randomBytes(16).toString("base64");
  response.writeHead(200, {
    "content-type": TYPES[".html"],
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
  });
  return response.end(readFileSync(join(DIST, "index.html"), "utf8").replaceAll("__CSP_NONCE__", nonce));
}

/** Starts the stand-in and returns its address, its state and how to push and stop. */
export async function startMock({ port = 0, alerts = 2_000, vehicles = 3_000 } = {}) {
  const state = makeState(alerts, vehicles);
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const done = url.pathname.startsWith("/api/")
      ? api(state, request, response, url)
      : Promise.resolve(asset(request, response, url));
    done.catch((error) =>
      json(response, error.status ?? 500, {
        code: error.code ?? "internal",
        message: error.status ? error.message : String(error),
      }),
    );
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    state,
    push: (topic, body) => push(state, topic, body),
    stop: () =>
      new Promise((resolve) => {
        for (const each of state.streams) each.end();
        server.closeAllConnections();
        server.close(resolve);
      }),
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const mock = await startMock({
    port: Number(process.argv[2] ?? 8099),
    alerts: Number(process.argv[3] ?? 100_000),
  });
  console.log(`${mock.url}  (mara, correct horse battery)`);
}
