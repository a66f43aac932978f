// Browser tests of the built dashboard against the stand-in server. Needs `npm run build` first.
// Screenshots go to e2e/shots; set CHROMIUM to use another browser.
import { mkdirSync, readFileSync } from "node:fs";
import { axe, launch, makeReport, watch } from "./browser.mjs";
import { NOW_MS } from "./mock-data.mjs";
import { startMock } from "./mock-server.mjs";
import { edgeParts } from "./parts-edge.mjs";
import { healthParts } from "./parts-health.mjs";
import { huntParts } from "./parts-hunt.mjs";
import { identityParts } from "./parts-identity.mjs";
import { ingestParts } from "./parts-ingest.mjs";
import { quarantineParts } from "./parts-quarantine.mjs";
import { revealParts } from "./parts-reveal.mjs";
import { stopParts } from "./parts-stop.mjs";
import { updateParts } from "./parts-updates.mjs";

const SHOTS = new URL("./shots/", import.meta.url).pathname;
const PASSWORD = "correct horse battery";
const { check, part, close } = makeReport();
mkdirSync(SHOTS, { recursive: true });

const browser = await launch();
const mock = await startMock({ alerts: 100_000, vehicles: 3_000 });
const problems = [];
/** While this is true, a part provokes failed answers on purpose. */
let provoking = false;

async function open({ width = 1280, height = 800, scheme = "dark" } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  // A step takes a second or two; a machine that compiles beside it takes longer.
  page.setDefaultTimeout(45_000);
  await page.clock.setFixedTime(NOW_MS);
  watch(page, mock.url, problems, (answer) => answer.status() === 401 || provoking);
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      console.error(`CSP ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`),
    );
  });
  return page;
}

async function login(page, path = "/overview") {
  await page.goto(mock.url + path);
  await page.fill("[name=user]", "mara");
  await page.fill("[name=password]", PASSWORD);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".shell");
}

const equal = (got, wanted, what) => {
  if (JSON.stringify(got) !== JSON.stringify(wanted))
    throw new Error(`${what}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(wanted)}`);
};
const truly = (value, what) => {
  if (!value) throw new Error(what);
};
const at = (page) => page.getAttribute(".grid-row[data-at]", "aria-rowindex");
const tick = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
const total = (page) => page.textContent(".filters .total");

const page = await open();

await part(
  "a wrong password is refused in words, the right one leads to where one wanted to go",
  async () => {
    await page.goto(`${mock.url}/alerts?severity=critical`);
    await page.fill("[name=user]", "mara");
    await page.fill("[name=password]", "wrong");
    await page.keyboard.press("Enter");
    await page.waitForSelector("[role=alert]:not(:empty)");
    equal(
      await page.textContent("[role=alert]"),
      "User or password is wrong, or the account is locked for a while after too many failures.",
      "message",
    );
    equal(await axe(page), [], "axe on login");
    await page.screenshot({ path: `${SHOTS}login-1280-dark.png` });
    await page.fill("[name=password]", PASSWORD);
    await page.keyboard.press("Enter");
    await page.waitForSelector(".grid-row[data-severity=critical]");
    equal(new URL(page.url()).search, "?severity=critical", "address");
    equal(
      await page.locator(".grid-rows .grid-row:not([data-severity=critical])").count(),
      0,
      "rows of another severity",
    );
  },
);

await part("the queue holds 100,000 alerts in at most fifty rows", async () => {
  await page.goto(`${mock.url}/alerts?status=new,acknowledged,closed`);
  await page.waitForSelector(".grid-rows .grid-row");
  equal(await total(page), "100,000", "total");
  equal(await page.getAttribute("[role=grid]", "aria-rowcount"), "100001", "aria-rowcount");
  for (let step = 0; step < 40; step += 1) {
    await page.evaluate(() => document.querySelector("[role=grid]").scrollBy(0, 3_000));
    await tick(page);
  }
  const rows = await page.locator(".grid-rows .grid-row").count();
  truly(rows > 10 && rows <= 50, `${rows} rows are in the document`);
  await page.waitForFunction(
    () =>
      Number(
        /^[\d,]+/
          .exec(document.querySelector(".selection-bar > .muted:last-child").textContent)[0]
          .replace(",", ""),
      ) >= 1000,
  );
});

await part("j, k, x, Enter, brackets and Escape work without a mouse", async () => {
  await page.goto(`${mock.url}/alerts`);
  await page.waitForSelector(".grid-row[data-at]");
  equal(await at(page), "2", "cursor at start");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await tick(page);
  equal(await at(page), "3", "cursor after j j k");
  await page.keyboard.press("x");
  for (let step = 0; step < 3; step += 1) await page.keyboard.press("j");
  await page.keyboard.press("Shift+X");
  await page.waitForSelector("text=4 selected");
  equal(await page.locator(".grid-row[aria-selected=true]").count(), 4, "selected rows");
  await page.keyboard.press("u");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".pane .why");
  const first = page.url();
  await page.keyboard.press("]");
  await page.waitForFunction((url) => location.href !== url, first);
  equal(await at(page), "7", "cursor after ]");
  truly(new URL(page.url()).searchParams.get("sel"), "the open alert is in the address");
  await page.keyboard.press("Escape");
  await page.waitForSelector(".pane", { state: "detached" });
  equal(
    await page.evaluate(() => document.activeElement?.getAttribute("role")),
    "grid",
    "focus after Escape",
  );
});

await part("acknowledging can be undone", async () => {
  await page.goto(`${mock.url}/alerts?status=new`);
  await page.waitForSelector(".grid-row[data-at]");
  const id = (await page.getAttribute(".grid-row[data-at]", "id")).replace("alert-", "");
  const before = await total(page);
  await page.keyboard.press("a");
  await page.waitForSelector(`#alert-${id}`, { state: "detached" });
  const stored = () => mock.state.alerts.find((alert) => alert.id === id);
  equal([stored().status, stored().owner], ["acknowledged", "mara"], "after a");
  await page.waitForSelector(".toast >> text=Acknowledged");
  await page.keyboard.press("z");
  await page.waitForSelector(`#alert-${id}`);
  equal([stored().status, stored().owner], ["new", undefined], "after z");
  equal(await total(page), before, "total after undo");
});

await part("select all means the query, and exceptions are left alone", async () => {
  await page.goto(`${mock.url}/alerts?status=new&severity=critical&q=boot`);
  await page.waitForSelector(".grid-row[data-at]");
  const matching = mock.state.alerts.filter(
    (alert) => alert.status === "new" && alert.severity === "critical" && /boot/i.test(alert.title),
  );
  truly(matching.length > 250, "the query matches more than one page");
  await page.keyboard.press("*");
  await page.waitForSelector(`text=All ${matching.length.toLocaleString("en")} that match`);
  const spared = (await page.getAttribute(".grid-row[data-at]", "id")).replace("alert-", "");
  await page.keyboard.press("x");
  await page.waitForSelector(`text=All ${(matching.length - 1).toLocaleString("en")} that match`);
  await page.keyboard.press("a");
  await page.waitForFunction(() => document.querySelector(".filters .total")?.textContent === "1");
  equal(
    matching.filter((alert) => alert.status === "new").map((alert) => alert.id),
    [spared],
    "alerts still new",
  );
  await page.keyboard.press("z");
  await page.waitForFunction(
    (count) => document.querySelector(".filters .total")?.textContent === count,
    matching.length.toLocaleString("en"),
  );
});

await part("closing asks for a reason and offers a note", async () => {
  await page.goto(`${mock.url}/alerts?status=new`);
  await page.waitForSelector(".grid-row[data-at]");
  const id = (await page.getAttribute(".grid-row[data-at]", "id")).replace("alert-", "");
  await page.keyboard.press("c");
  await page.waitForSelector("dialog[open]");
  equal(await axe(page), [], "axe on the dialog");
  await page.screenshot({ path: `${SHOTS}close-1280-dark.png` });
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog[open]", { state: "detached" });
  equal(mock.state.alerts.find((alert) => alert.id === id).status, "new", "status after Escape");
  await page.keyboard.press("c");
  await page.check("input[value=hardware_fault]");
  await page.fill("textarea[name=note]", "Loose connector, confirmed by the dealer");
  await page.click("dialog button[type=submit]");
  await page.waitForSelector(".toast >> text=1 closed");
  const closed = mock.state.alerts.find((alert) => alert.id === id);
  equal(
    [closed.status, closed.disposition, closed.history[0].note],
    ["closed", "hardware_fault", "Loose connector, confirmed by the dealer"],
    "stored",
  );
});

await part("what the server refuses is told, not hidden", async () => {
  await page.goto(`${mock.url}/alerts?status=new`);
  await page.waitForSelector(".grid-row[data-at]");
  const id = (await page.getAttribute(".grid-row[data-at]", "id")).replace("alert-", "");
  mock.state.alerts.find((alert) => alert.id === id).status = "closed";
  await page.keyboard.press("c");
  await page.check("input[value=duplicate]");
  await page.click("dialog button[type=submit]");
  await page.waitForSelector(".toast.bad >> text=the alert is closed");
});

await part("new alerts are announced by a pill, and rows do not jump", async () => {
  await page.goto(`${mock.url}/alerts`);
  await page.waitForSelector(".grid-row[data-at]");
  await page.waitForSelector(".live-mark.live");
  const firstRow = await page.getAttribute(".grid-row[aria-rowindex='2']", "id");
  const fresh = {
    ...mock.state.alerts[0],
    id: "al-pushed",
    title: "Pushed while looking",
    status: "new",
    last_at: "2026-11-20T12:00:00.000000Z",
  };
  mock.state.alerts.unshift(fresh);
  mock.push("alert", { ...fresh, id: "al-elsewhere", status: "closed" });
  mock.push("alert", fresh);
  mock.push("alert", fresh);
  await page.waitForSelector(".fresh >> text=1 new");
  equal(await page.getAttribute(".grid-row[aria-rowindex='2']", "id"), firstRow, "first row");
  await page.keyboard.press(".");
  await page.waitForSelector("#alert-al-pushed");
  equal(await page.locator(".fresh").count(), 0, "pill after .");
  mock.push("alert", { ...fresh, revision: fresh.revision + 1, owner: "jon", status: "acknowledged" });
  await page.waitForSelector("#alert-al-pushed[data-status=acknowledged]");
});

await part("a broken stream resumes with the last id", async () => {
  mock.push("overview", {});
  await tick(page);
  const last = mock.state.eventId;
  for (const stream of mock.state.streams) stream.end();
  await page.waitForSelector(".live-mark:not(.live)");
  await page.waitForSelector(".live-mark.live");
  equal(mock.state.resumed, last, "Last-Event-ID");
});

await part("an alert says why it fired, with evidence, vehicles and history", async () => {
  const alert = mock.state.alerts.find(
    (each) => each.rule_id === "fleet-unknown-id" && each.status !== "closed",
  );
  await page.goto(`${mock.url}/alerts/${alert.id}`);
  await page.waitForSelector(".why .threshold");
  const text = await page.textContent(".why");
  for (const words of ["distinct vehicle_id", "≥ 10", "Would stay silent", "gte: 5", alert.group.can_id])
    truly(text.includes(words), `“${words}” is missing`);
  truly((await page.locator(".event-list li").count()) > 5, "evidence events");
  equal(await page.locator(".event-body").count(), 1, "open events");
  await page.click(".event-list li:nth-child(3) button");
  await page.waitForSelector(".event-list li:nth-child(3) .event-body");
  await page.click("text=Show rule source");
  await page.waitForSelector(".yaml >> text=correlation");
  await page.waitForSelector(`text=100 of ${alert.vehicle_count} vehicles shown`);
});

await part("evidence is requested from an event and arrives with its hash", async () => {
  const alert = mock.state.alerts.find((each) => each.rule_id === "secoc-mac" && each.status === "new");
  await page.goto(`${mock.url}/alerts/${alert.id}`);
  await page.waitForSelector(".event-body");
  await page.keyboard.press("n");
  await page.fill("input[name=title]", "SecOC on brake control");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/cases\/case-/);
  await page.waitForSelector(".case-head h1 >> text=SecOC on brake control");
  await page.click(".list a");
  await page.waitForSelector(".event-body");
  await page.keyboard.press("e");
  await page.fill("input[name=before]", "999");
  provoking = true;
  await page.click("dialog button[type=submit]");
  await page.waitForSelector("dialog [role=alert] >> text=at most 120");
  provoking = false;
  await page.fill("input[name=before]", "20");
  await page.click("dialog button[type=submit]");
  await page.waitForURL(/\/cases\/case-/);
  await page.waitForSelector(".evidence[data-state=received]");
  truly(/^[0-9a-f]{64}$/.test(await page.textContent(".hash")), "hash");
  equal(await page.locator(".steps li").count(), 5, "steps");
  await page.keyboard.press("n");
  await page.fill("textarea[name=text]", "<b>not markup</b>");
  await page.click("dialog button[type=submit]");
  await page.waitForSelector(".note-text >> text=<b>not markup</b>");
  await page.keyboard.press("c");
  await page.check("input[value=true_positive]");
  await page.fill("textarea[name=note]", "Confirmed on the bench");
  await page.click("dialog button[type=submit]");
  await page.waitForSelector(".case-head >> text=True positive");
});

await part("the palette finds acts by name and says why one is refused", async () => {
  await page.goto(`${mock.url}/vehicles`);
  await page.waitForSelector("tbody tr");
  await page.keyboard.press("Control+k");
  await page.waitForSelector("dialog.palette");
  equal(await axe(page), [], "axe on the palette");
  await page.keyboard.type("syst");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/health$/);
  await page.keyboard.press("Control+k");
  await page.waitForSelector("dialog.palette");
  await page.keyboard.type("undo");
  await page.waitForSelector("[role=option][aria-disabled=true] >> text=Nothing to undo");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
});

await part("help shows every act, g leads everywhere, / finds the search box", async () => {
  await page.keyboard.press("?");
  await page.waitForSelector("dialog.help");
  equal(await axe(page), [], "axe on help");
  await page.screenshot({ path: `${SHOTS}help-1280-dark.png` });
  await page.keyboard.press("Escape");
  for (const [key, path] of [
    ["o", "/overview"],
    ["a", "/alerts"],
    ["c", "/cases"],
    ["v", "/vehicles"],
    ["f", "/fleet"],
    ["h", "/hunt"],
    ["r", "/rules"],
    ["s", "/health"],
    [",", "/users"],
  ]) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await page.waitForURL(new RegExp(`${path}$`));
  }
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await page.waitForSelector("[data-search]");
  await page.keyboard.press("/");
  await page.keyboard.type("jjj");
  equal(await page.inputValue("[data-search]"), "jjj", "typed text");
  await page.waitForSelector("text=No alert matches");
});

await part("the map fills its place, draws, and has a table with the same numbers", async () => {
  await page.goto(`${mock.url}/fleet?layer=vehicles&resolution=2`);
  await page.waitForSelector("canvas[data-ready=true]");
  const box = await page.locator("canvas").boundingBox();
  truly(box.width > 500 && box.height > 400, `canvas ${box.width}×${box.height}`);
  const colours = await page.evaluate(() => {
    const canvas = document.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let index = 0; index < data.length; index += 16)
      seen.add(`${data[index]},${data[index + 1]},${data[index + 2]}`);
    return seen.size;
  });
  truly(colours > 20, `${colours} colours`);
  const sum = await page.$$eval(".fleet-side .card:first-child tbody td:nth-child(3)", (cells) =>
    cells.reduce((all, cell) => all + Number(cell.textContent.replace(",", "")), 0),
  );
  equal(sum, 3000, "vehicles in the table");
  const before = await page.evaluate(() => document.querySelector("canvas").toDataURL());
  await page.keyboard.press("+");
  await tick(page);
  await tick(page);
  truly(
    (await page.evaluate(() => document.querySelector("canvas").toDataURL())) !== before,
    "zooming draws anew",
  );
  await page.keyboard.press("h");
  await page.waitForURL(/layer=alerts/);
});

await part("a vehicle shows its buses worst first, its events, alerts and lanes", async () => {
  const vehicle = mock.state.vehicles.find((each) => each.summary.worst_severity === "critical").summary
    .vehicle_id;
  await page.goto(`${mock.url}/vehicles/${vehicle}`);
  await page.waitForSelector(".bus-lane");
  equal(await page.textContent(".bus-lane h2"), "Chassis", "first lane");
  equal(await page.locator(".ecu").count(), 19, "ECUs");
  await page.keyboard.press("2");
  await page.waitForSelector(".event-body");
  equal(await page.getAttribute(".button[aria-pressed=true]", "aria-pressed"), "true", "span");
  await page.keyboard.press("3");
  await page.waitForSelector("tbody tr a");
  await page.keyboard.press("4");
  await page.waitForSelector("text=Operating mode");
  const sensors = page.locator("table", { hasText: "Operating mode" }).first();
  equal(await sensors.locator("tbody tr").count(), 5, "sensors and their detectors");
  equal(await sensors.locator("tbody tr:nth-child(4) td:nth-child(7)").textContent(), "demoted", "account");
  equal(await sensors.locator("tbody tr:nth-child(5) td:nth-child(3)").textContent(), "flashing", "mode");
});

await part("health says which stage does not balance", async () => {
  await page.goto(`${mock.url}/health`);
  await page.waitForSelector(".balance tbody tr");
  equal(await page.locator(".balance .tag.bad").allTextContents(), ["Off by 3"], "unbalanced stages");
});

await part("an admin makes an account", async () => {
  await page.goto(`${mock.url}/users`);
  await page.fill("form [name=name]", "ada");
  await page.selectOption("form [name=role]", "engineer");
  await page.fill("form [name=password]", "a long first password");
  await page.click("form button[type=submit]");
  await page.waitForSelector("td >> text=ada");
  await page.click("tr:has-text('jon') >> text=Set password");
  await page.fill("dialog [name=password]", "another first password");
  await page.click("dialog button[type=submit]");
  await page.waitForSelector(".toast >> text=Password set");
  equal(mock.state.users.find((each) => each.name === "jon").password, "another first password", "sent");
});

await part("an analyst sees why rules, quarantine and accounts are out of reach", async () => {
  mock.state.role = "analyst";
  await page.goto(`${mock.url}/users`);
  await page.waitForSelector("text=Needs the role admin");
  equal(await page.locator(".side a[href='/users'], .side a[href='/rules']").count(), 0, "links");
  await page.goto(`${mock.url}/quarantine`);
  await page.waitForSelector("text=Needs the role engineer or admin");
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.waitForSelector(".toast >> text=Needs the role engineer");
  mock.state.role = "admin";
});

const tools = {
  mock,
  page,
  open,
  login,
  part,
  equal,
  truly,
  shots: SHOTS,
  provoke: async (act) => {
    provoking = true;
    await act();
    provoking = false;
  },
};
await stopParts(tools);
await updateParts(tools);
await healthParts(tools);
await ingestParts(tools);
await identityParts(tools);
await revealParts(tools);
await huntParts(tools);
await quarantineParts(tools);
await edgeParts(tools);

await part("somebody else's password must be changed first", async () => {
  mock.state.mustChange = true;
  await page.goto(`${mock.url}/overview`);
  await page.waitForSelector("text=Choose your own password");
  equal(await axe(page), [], "axe");
  await page.fill("[name=old]", PASSWORD);
  await page.fill("[name=next]", "another long password");
  await page.fill("[name=again]", "another long passwort");
  await page.click("button[type=submit]");
  await page.waitForSelector("text=The two new passwords differ.");
  await page.fill("[name=again]", "another long password");
  await page.click("button[type=submit]");
  await page.waitForSelector(".shell");
});

const alert = mock.state.alerts.find((each) => each.rule_id === "secoc-mac" && each.status === "new");
const vehicle = alert.vehicle;
const PAGES = {
  overview: "/overview",
  alerts: "/alerts",
  pane: `/alerts?sel=${alert.id}`,
  alert: `/alerts/${alert.id}`,
  cases: "/cases?status=new,investigating,closed",
  case: "/cases/case-1",
  vehicles: "/vehicles",
  vehicle: `/vehicles/${vehicle}`,
  timeline: `/vehicles/${vehicle}/timeline`,
  "vehicle-alerts": `/vehicles/${vehicle}/alerts`,
  "vehicle-health": `/vehicles/${vehicle}/health`,
  "vehicle-configuration": `/vehicles/${vehicle}/configuration`,
  configuration: "/configuration",
  fleet: "/fleet",
  hunt: "/hunt",
  feeds: "/feeds",
  quarantine: "/quarantine",
  health: "/health",
  rules: "/rules/secoc-mac",
  users: "/users",
};
const settled = async (shown, name) => {
  await shown.waitForSelector(".skeleton", { state: "detached" });
  if (name === "fleet") await shown.waitForSelector("canvas[data-ready=true]");
  await shown.waitForTimeout(150);
};

for (const [width, height] of [
  [1280, 800],
  [1920, 1080],
]) {
  for (const scheme of ["dark", "light"]) {
    const shown = await open({ width, height, scheme });
    await login(shown);
    for (const [name, path] of Object.entries(PAGES)) {
      await part(`${name} at ${width}, ${scheme}: accessible, no sideways scroll`, async () => {
        await shown.goto(mock.url + path);
        await shown.waitForSelector("main h1, main .grid");
        await settled(shown, name);
        await shown.screenshot({ path: `${SHOTS}${name}-${width}-${scheme}.png` });
        equal(await shown.evaluate(() => document.documentElement.dataset.theme), scheme, "theme");
        equal(await axe(shown), [], "axe");
        equal(
          await shown.evaluate(() =>
            [
              document.documentElement.scrollWidth - innerWidth,
              document.querySelector("main").scrollWidth - document.querySelector("main").clientWidth,
            ].map((over) => Math.max(0, over)),
          ),
          [0, 0],
          "overflow",
        );
      });
    }
    await shown.context().close();
  }
}

await part("at 200 % zoom nothing is lost sideways", async () => {
  const narrow = await open({ width: 640, height: 400 });
  await login(narrow);
  for (const name of ["overview", "alerts", "alert", "case", "vehicle", "fleet", "hunt", "health"]) {
    await narrow.goto(mock.url + PAGES[name]);
    await settled(narrow, name);
    const over = await narrow.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    truly(over <= 0, `${name} is ${over} px too wide`);
    await narrow.screenshot({ path: `${SHOTS}zoom-${name}-640-dark.png` });
    equal(await axe(narrow), [], `axe on narrow ${name}`);
  }
  await narrow.context().close();
});

await part("every page has an empty state", async () => {
  mock.state.empty = true;
  for (const [name, path, words] of [
    ["overview", "/overview", "Nothing waits"],
    ["alerts", "/alerts", "No alert matches"],
    ["cases", "/cases", "No case matches"],
    ["vehicles", "/vehicles", "No vehicle matches"],
    ["vehicle", `/vehicles/${vehicle}`, "Nothing is known about the buses"],
    ["timeline", `/vehicles/${vehicle}/timeline`, "No event in this span"],
    ["vehicle-health", `/vehicles/${vehicle}/health`, "This installation issued no certificate"],
    ["fleet", "/fleet", "No vehicle is known"],
    ["health", "/health", "No stage has counted anything yet"],
    ["rules", "/rules", "No rule is loaded"],
  ]) {
    await page.goto(mock.url + path);
    await page.waitForSelector(`text=${words}`);
    await settled(page, name);
    await page.screenshot({ path: `${SHOTS}empty-${name}-1280-dark.png` });
    equal(await axe(page), [], `axe on empty ${name}`);
  }
  mock.state.empty = false;
});

await part("every page says what went wrong and can try again", async () => {
  provoking = true;
  for (const [name, prefix] of [
    ["overview", "/overview"],
    ["alerts", "/alerts"],
    ["alert", "/alerts/"],
    ["cases", "/cases"],
    ["case", "/cases/"],
    ["vehicles", "/vehicles"],
    ["vehicle", "/vehicles/"],
    ["configuration", "/artifacts"],
    ["fleet", "/fleet"],
    ["health", "/health"],
    ["rules", "/rules"],
    ["users", "/users"],
  ]) {
    mock.state.fail = [prefix];
    await page.goto(mock.url + PAGES[name]);
    await page.waitForSelector("main .problem >> text=this answer is an error for a test");
    equal(await axe(page), [], `axe on failed ${name}`);
    await page.screenshot({ path: `${SHOTS}failed-${name}-1280-dark.png` });
    mock.state.fail = [];
    await page.evaluate(() =>
      document.querySelectorAll("main .problem button").forEach((button) => button.click()),
    );
    await page.waitForSelector("main .problem", { state: "detached" });
  }
  await page.goto(`${mock.url}/alerts/nobody`);
  await page.waitForSelector("main .problem >> text=It does not exist");
  await page.goto(`${mock.url}/nowhere`);
  await page.waitForSelector("text=There is no such page");
  provoking = false;
});

await part("logging out forgets everything", async () => {
  await page.goto(`${mock.url}/vehicles`);
  await page.waitForSelector("tbody tr");
  await page.click("text=Log out");
  await page.waitForSelector("[name=password]");
  equal(mock.state.sessions.size > 0 && (await page.locator("tbody tr").count()), 0, "rows left on screen");
  await login(page);
});

await part("an ended session leads to the login page and back", async () => {
  await page.goto(`${mock.url}/vehicles`);
  await page.waitForSelector("tbody tr");
  mock.state.sessions.clear();
  await page.keyboard.press("g");
  await page.keyboard.press("o");
  await page.waitForSelector("[name=password]");
  await page.fill("[name=user]", "mara");
  await page.fill("[name=password]", PASSWORD);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".critical-figure");
});

await part("what is too much to undo says so", async () => {
  await page.goto(`${mock.url}/alerts?status=new&severity=medium`);
  await page.waitForSelector(".grid-row[data-at]");
  const many = mock.state.alerts.filter((each) => each.status === "new" && each.severity === "medium").length;
  truly(many > 10_000, `${many} alerts`);
  await page.keyboard.press("*");
  await page.keyboard.press("a");
  await page.waitForSelector(".toast >> text=too many to undo at once");
  await page.keyboard.press("z");
  await page.waitForSelector(".toast >> text=Nothing to undo");
  await page.waitForSelector("text=No alert matches");
});

await part("keys typed before a dialog has opened do nothing else", async () => {
  const cold = await open();
  await login(cold, "/alerts");
  await cold.waitForSelector(".grid-row[data-at]");
  await cold.route(/Dialogs-.*\.js/, async (route) => {
    await new Promise((done) => setTimeout(done, 700));
    await route.continue();
  });
  const cases = mock.state.cases.size;
  await cold.keyboard.press("Control+k");
  await cold.keyboard.type("nan");
  await cold.waitForSelector("dialog.palette");
  await cold.waitForTimeout(200);
  equal(
    [
      new URL(cold.url()).pathname,
      mock.state.cases.size,
      await cold.locator(".toast").count(),
      await cold.locator("dialog").count(),
    ],
    ["/alerts", cases, 0, 1],
    "after typing",
  );
  await cold.context().close();
});

await part("single keys can be switched off", async () => {
  await page.goto(`${mock.url}/alerts`);
  await page.waitForSelector(".grid-row[data-at]");
  await page.keyboard.press("Control+k");
  await page.waitForSelector("dialog.palette");
  await page.keyboard.type("single-key");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog", { state: "detached" });
  await page.keyboard.press("j");
  await tick(page);
  equal(await at(page), "2", "cursor");
});

await part("axe would notice a fault", async () => {
  await page.evaluate(() => document.querySelector("main").append(document.createElement("input")));
  truly(
    (await axe(page)).some((line) => line.startsWith("label")),
    "an input without a label",
  );
});

await part("a stray style would be refused and noticed", async () => {
  const before = problems.length;
  await page.evaluate(() =>
    document.querySelector("main").insertAdjacentHTML("beforeend", '<p style="color: red">x</p>'),
  );
  await page.waitForTimeout(100);
  truly(problems.length > before, "the violation is heard");
  problems.length = before;
});

await part("the page carries a nonce and no leftover placeholder", async () => {
  truly(!(await page.content()).includes("__CSP_NONCE__"), "placeholder replaced");
  truly(
    readFileSync(new URL("../dist/index.html", import.meta.url), "utf8").includes("__CSP_NONCE__"),
    "placeholder in the build",
  );
});

check(
  "no console error, CSP violation or off-origin request",
  problems.length === 0,
  problems.slice(0, 8).join(" | "),
);
await browser.close();
await mock.stop();
process.exitCode = close();
