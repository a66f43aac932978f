// Walks the dashboard against a running server: login, alerts of several rules, vehicle, evidence until it is received.
// Usage: node e2e/live.mjs BASE_URL USER PASSWORD [RULE_TITLE ...]
//   RULE_TITLE         words of a rule's title whose alert must appear; without any, alerts of three rules must appear
//   CHROMIUM           browser (default /usr/bin/chromium)
//   SHOTS              folder for screenshots (default e2e/shots)
//   ALERTS_WAIT_S      how long alerts may take to appear (default 120)
//   EVIDENCE_WAIT_S    how long the vehicle may take to deliver (default 120)
//   EVIDENCE_VEHICLE   vehicle that is asked (default: an online one that can answer)
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { axe, launch, makeReport, watch } from "./browser.mjs";

const [base, user, password, ...titles] = process.argv.slice(2);
if (!base || !user || !password) {
  console.error("usage: node e2e/live.mjs BASE_URL USER PASSWORD [RULE_TITLE ...]");
  process.exit(2);
}
const BASE = base.replace(/\/$/, "");
const SHOTS = `${process.env.SHOTS ?? new URL("./shots", import.meta.url).pathname}/`;
const ALERTS_WAIT_S = Number(process.env.ALERTS_WAIT_S ?? 120);
const EVIDENCE_WAIT_S = Number(process.env.EVIDENCE_WAIT_S ?? 120);
/** Rules whose alerts must be there when no title is named. */
const RULES_MIN = 3;
/** Used where the server asks for a new password at the first login; a second run tries it as well. */
const CHANGED = `${password}-changed`;
const { check, part, close } = makeReport();
mkdirSync(SHOTS, { recursive: true });

const browser = await launch();
const context = await browser.newContext({
  viewport: { width: 1280, height: 800 },
  colorScheme: "dark",
  reducedMotion: "reduce",
  acceptDownloads: true,
  ignoreHTTPSErrors: true,
});
const page = await context.newPage();
page.setDefaultTimeout(30_000);
const problems = [];
watch(page, BASE, problems, (answer) => {
  const { pathname } = new URL(answer.url());
  // Logged out at first; a query is wrong on purpose.
  return (
    (answer.status() === 401 && pathname === "/api/v1/session") ||
    (answer.status() === 422 && pathname === "/api/v1/sql")
  );
});
await page.addInitScript(() => {
  document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`CSP ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`),
  );
});

const truly = (value, what) => {
  if (!value) throw new Error(what);
};
const equal = (got, wanted, what) => {
  if (JSON.stringify(got) !== JSON.stringify(wanted))
    throw new Error(`${what}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(wanted)}`);
};
const get = (path) => page.evaluate(async (url) => (await fetch(url)).json(), `/api/v1${path}`);
const ALL = "status=new,acknowledged,closed";
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function tryLogin(secret) {
  await page.fill("[name=user]", user);
  await page.fill("[name=password]", secret);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".shell, [name=next], [role=alert]:not(:empty)");
  return (await page.locator("[role=alert]:not(:empty)").count()) === 0;
}

/** Opens a page and checks what must hold on every page. */
async function visit(name, path) {
  await page.goto(BASE + path);
  await page.waitForSelector("main h1, main .grid");
  await page.waitForSelector(".skeleton", { state: "detached" });
  if (name === "fleet") await page.waitForSelector("canvas[data-ready=true]");
  await page.waitForTimeout(250);
  await page.screenshot({ path: `${SHOTS}live-${name}.png` });
  equal(await page.locator("main .problem").allTextContents(), [], `problems on ${name}`);
  equal(await axe(page), [], `axe on ${name}`);
}

/** Alerts, one a wanted rule. */
let alerts = [];
let evidenceAlert;

await part("login", async () => {
  await page.goto(`${BASE}/overview`);
  await page.waitForSelector("[name=password]");
  equal(await axe(page), [], "axe on login");
  truly((await tryLogin(password)) || (await tryLogin(CHANGED)), "neither password is accepted");
  if ((await page.locator("[name=next]").count()) > 0) {
    await page.fill("[name=old]", password);
    await page.fill("[name=next]", CHANGED);
    await page.fill("[name=again]", CHANGED);
    await page.click("button[type=submit]");
  }
  await page.waitForSelector(".critical-figure");
  await page.waitForSelector(".live-mark.live");
});

await part(
  titles.length > 0 ? `alerts of ${titles.join(", ")}` : `alerts of ${RULES_MIN} rules`,
  async () => {
    const until = Date.now() + ALERTS_WAIT_S * 1000;
    const wanted = (items) => {
      const byRule = new Map(items.toReversed().map((alert) => [alert.rule_id, alert]));
      if (titles.length === 0)
        return byRule.size >= RULES_MIN ? [...byRule.values()].slice(0, RULES_MIN) : [];
      const found = titles.map((title) =>
        items.find((alert) =>
          `${alert.rule_title} ${alert.title}`.toLowerCase().includes(title.toLowerCase()),
        ),
      );
      return found.every(Boolean) ? found : [];
    };
    let seen = [];
    while (alerts.length === 0 && Date.now() < until) {
      seen = (await get(`/alerts?limit=500&${ALL}`)).items;
      alerts = wanted(seen);
      if (alerts.length === 0) await sleep(1_000);
    }
    truly(
      alerts.length > 0,
      `after ${ALERTS_WAIT_S} s only these rules had alerts: ${[...new Set(seen.map((alert) => alert.rule_title))].join("; ")}`,
    );
    await visit("alerts", `/alerts?${ALL}`);
    for (const alert of alerts) {
      await page.goto(`${BASE}/alerts?${ALL}&rule=${encodeURIComponent(alert.rule_id)}`);
      await page.waitForSelector(`#alert-${alert.id}`);
    }
  },
);

await part("the keyboard moves through the queue", async () => {
  await page.goto(`${BASE}/alerts?${ALL}`);
  await page.waitForSelector(".grid-row[data-at]");
  await page.keyboard.press("j");
  await page.waitForSelector(".grid-row[data-at][aria-rowindex='3']");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".pane .why");
  await page.keyboard.press("Escape");
  await page.waitForSelector(".pane", { state: "detached" });
});

for (const [index, alert] of alerts.entries()) {
  await part(`“${alert.title}” says why it fired`, async () => {
    await visit(`alert-${index + 1}`, `/alerts/${alert.id}`);
    truly((await page.textContent(".why .summary")).length > 10, "a summary");
    truly(
      (await page.locator(".why .matched tbody tr").count()) > 0 ||
        (await page.locator(".why .threshold").count()) > 0,
      "conditions or a window",
    );
    truly((await page.locator(".event-list li").count()) > 0, "evidence events");
    truly((await page.locator("a[href^='/vehicles/']").count()) > 0, "vehicles");
  });
}

await part("acknowledge and undo", async () => {
  const { items } = await get("/alerts?status=new&limit=1");
  truly(items.length === 1, "a new alert");
  const status = async () => (await get(`/alerts/${items[0].id}`)).status;
  await page.goto(`${BASE}/alerts/${items[0].id}`);
  await page.waitForSelector(".why");
  await page.keyboard.press("a");
  await page.waitForSelector(".toast >> text=Acknowledged");
  equal(await status(), "acknowledged", "after a");
  await page.keyboard.press("z");
  await page.waitForSelector(".alert-head .tag >> text=New");
  equal(await status(), "new", "after z");
});

/** An alert whose evidence lies in a vehicle that can answer now. */
async function answerable() {
  const { items } = await get(`/alerts?limit=100&status=new,acknowledged`);
  for (const alert of items) {
    const detail = await get(`/alerts/${alert.id}`);
    const [event] = detail.evidence_events ?? [];
    if (!event) continue;
    const vehicle = await get(`/vehicles/${event.vehicle_id}`);
    const fits = process.env.EVIDENCE_VEHICLE
      ? event.vehicle_id === process.env.EVIDENCE_VEHICLE
      : vehicle.connectivity === "online" && vehicle.capabilities.some((each) => /evidence/.test(each));
    if (fits) return { ...detail, vehicle_id: event.vehicle_id };
  }
  return undefined;
}

await part("a vehicle shows topology, timeline, alerts and health", async () => {
  evidenceAlert = (await answerable()) ?? (alerts[0] && (await get(`/alerts/${alerts[0].id}`)));
  truly(evidenceAlert, "an alert");
  const id = evidenceAlert.vehicle_id ?? evidenceAlert.vehicles[0].vehicle_id;
  for (const tab of ["topology", "timeline", "alerts", "health"])
    await visit(`vehicle-${tab}`, `/vehicles/${id}/${tab}`);
  await page.goto(`${BASE}/vehicles/${id}/timeline`);
  await page.waitForSelector(".event-list li");
});

await part("evidence is requested, received, and hashes to what is shown", async () => {
  await page.goto(`${BASE}/alerts/${evidenceAlert.id}`);
  await page.waitForSelector(".event-body");
  if (!evidenceAlert.case_id) {
    await page.keyboard.press("n");
    await page.waitForSelector("dialog input[name=title]");
    await page.click("dialog button[type=submit]");
    await page.waitForURL(/\/cases\/./);
    await page.waitForSelector(".case-head");
    await page.goto(`${BASE}/alerts/${evidenceAlert.id}`);
    await page.waitForSelector(".event-body");
  }
  await page.keyboard.press("e");
  await page.waitForSelector("dialog input[name=before]");
  await page.click("dialog button[type=submit]");
  await page.waitForURL(/\/cases\/./);
  await page.waitForSelector(".evidence");
  const first = page.locator(".evidence").first();
  const until = Date.now() + EVIDENCE_WAIT_S * 1000;
  const state = () => first.getAttribute("data-state");
  while (
    !["received", "refused_by_gate", "refused_by_vehicle", "expired"].includes(await state()) &&
    Date.now() < until
  )
    await sleep(250);
  await page.screenshot({ path: `${SHOTS}live-evidence.png` });
  equal(await state(), "received", `state after ${await first.locator(".steps").textContent()}`);
  const shown = await first.locator(".hash").textContent();
  const [download] = await Promise.all([page.waitForEvent("download"), first.locator("a[download]").click()]);
  const bytes = readFileSync(await download.path());
  truly(bytes.length > 0, "the capture is empty");
  equal(createHash("sha256").update(bytes).digest("hex"), shown, "SHA-256 of the saved capture");
  equal(await axe(page), [], "axe on the case");
});

await part("an alert is closed with a disposition and a note", async () => {
  const { items } = await get("/alerts?status=new,acknowledged&sort=severity&limit=1");
  truly(items.length === 1, "an open alert");
  await page.goto(`${BASE}/alerts/${items[0].id}`);
  await page.waitForSelector(".why");
  await page.keyboard.press("c");
  await page.waitForSelector("dialog[open]");
  await page.check("input[value=benign_true_positive]");
  await page.fill("textarea[name=note]", "Closed by the browser test");
  await page.click("dialog button[type=submit]");
  await page.waitForSelector(".toast >> text=1 closed");
  const closed = await get(`/alerts/${items[0].id}`);
  equal([closed.status, closed.disposition], ["closed", "benign_true_positive"], "stored");
  truly(
    closed.history.some((entry) => entry.note === "Closed by the browser test"),
    "the note is in the history",
  );
});

for (const [name, path] of [
  ["overview", "/overview"],
  ["cases", "/cases"],
  ["vehicles", "/vehicles"],
  ["fleet", "/fleet"],
  ["hunt", "/hunt"],
  ["feeds", "/feeds"],
  ["quarantine", "/quarantine"],
  ["health", "/health"],
  ["rules", "/rules"],
  ["users", "/users"],
]) {
  await part(`${name} opens without a problem`, () => visit(name, path));
}

await part(
  "the server answers every example of the hunting page, and says where a wrong one is wrong",
  async () => {
    await page.goto(`${BASE}/hunt`);
    await page.waitForSelector("textarea.sql");
    const examples = page.locator(".card[aria-label=Examples] button");
    const count = await examples.count();
    truly(count >= 5, `${count} examples`);
    let rows = 0;
    for (let index = 0; index < count; index += 1) {
      await examples.nth(index).click();
      const [answer] = await Promise.all([
        page.waitForResponse((each) => each.url().endsWith("/api/v1/sql")),
        page.keyboard.press("Control+Enter"),
      ]);
      equal(answer.status(), 200, `answer to example ${index + 1}`);
      rows += (await answer.json()).rows.length;
    }
    truly(rows > count, `${rows} rows in all`);
    await examples.first().click();
    await page.keyboard.press("Control+Enter");
    await page.waitForSelector(".answer-rows .answer-row");
    await page.screenshot({ path: `${SHOTS}live-hunt-answer.png` });
    equal(await axe(page), [], "axe");
    for (const [query, place] of [
      ["SELECT vehicle_id\nfrm events e", "Line 2, column 5"],
      ["SELECT vehicle_id, nosuch FROM events", "Line 1, column 20"],
      ["SELECT cnt(*) FROM events", "Line 1, column 8"],
      ["SELECT 1 FROM evnts", "Line 1, column 15"],
    ]) {
      await page.fill("textarea.sql", query);
      await page.focus("textarea.sql");
      await page.keyboard.press("Control+Enter");
      await page.waitForSelector(`.refused >> text=${place}`);
    }
  },
);

/** Makes an engineer and returns how to send a request as that person. */
async function secondPerson() {
  const name = `second-${Date.now()}`;
  const other = await browser.newContext({ ignoreHTTPSErrors: true });
  const send = async (path, data, token) => {
    const headers = token ? { "x-csrf-token": token } : {};
    const answer = await other.request.post(`${BASE}/api/v1${path}`, { data, headers });
    truly(answer.ok(), `${path} answered ${answer.status()}: ${await answer.text()}`);
    return answer.json();
  };
  const first = "chosen by the browser test";
  await page.evaluate(
    async (body) => {
      const { csrf_token: token } = await (await fetch("/api/v1/session")).json();
      const answer = await fetch("/api/v1/users", {
        method: "POST",
        headers: { "content-type": "application/json", "x-csrf-token": token },
        body: JSON.stringify(body),
      });
      if (!answer.ok) throw new Error(`no account: ${answer.status} ${await answer.text()}`);
    },
    { name, password: first, role: "engineer" },
  );
  const { csrf_token: token } = await send("/session", { user: name, password: first });
  const changed = await send("/session/password", { old: first, new: `${first}-changed` }, token);
  return { name, send: (path, data) => send(path, data, changed.csrf_token ?? token) };
}

await part("the emergency stop is set here, told live, and released by two persons", async () => {
  equal((await get("/stop")).is_set, false, "stop before");
  const second = await secondPerson();
  await page.goto(`${BASE}/vehicles`);
  await page.waitForSelector(".live-mark.live");
  await page.keyboard.press("!");
  await page.fill("dialog textarea[name=reason]", "Browser test");
  await page.click("dialog button[type=submit]");
  await page.waitForSelector(".stop-banner >> text=Browser test");
  await page.screenshot({ path: `${SHOTS}live-stop.png` });
  equal(await axe(page), [], "axe");
  if (evidenceAlert) {
    await page.goto(`${BASE}/alerts/${evidenceAlert.id}`);
    await page.waitForSelector(".event-body");
    await page.keyboard.press("e");
    await page.waitForSelector("dialog >> text=the safety gate will refuse");
    await page.click("dialog button[type=submit]");
    await page.waitForURL(/\/cases\/./);
    await page.waitForSelector(".evidence[data-state=refused_by_gate] >> text=The emergency stop is set");
  }
  await page.waitForSelector(".live-mark.live");
  await second.send("/stop/release", { reason: "Test over" });
  await page.waitForSelector(`.stop-banner >> text=${second.name} proposed its release`);
  await page.click(".stop-banner >> text=Confirm release");
  await page.fill("dialog textarea[name=reason]", "Seen it end");
  await page.click("dialog button[type=submit]");
  await page.waitForSelector(".stop-banner", { state: "detached" });
  equal((await get("/stop")).is_set, false, "stop after");
});

await part("every stage balances", async () => {
  const { stages } = await get("/health");
  truly(stages.length > 0, "stages");
  equal(
    stages.filter((stage) => !stage.balanced).map((stage) => stage.stage),
    [],
    "stages off balance",
  );
});

check(
  "no console error, CSP violation or off-origin request",
  problems.length === 0,
  problems.slice(0, 8).join(" | "),
);
await browser.close();
process.exitCode = close();
