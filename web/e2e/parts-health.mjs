// Browser tests of the warnings on the health page.
import { axe } from "./browser.mjs";

export async function healthParts({ mock, page, part, equal, truly, shots }) {
  await part("rules that see too little are a warning, on every page", async () => {
    mock.state.detect = {};
    await page.goto(`${mock.url}/health`);
    await page.waitForSelector(".balance tbody tr");
    equal(await page.locator(".card.warning").count(), 0, "warnings in good health");
    mock.state.detect = {
      degraded: { "fleet-unknown-id": 1_204, "diag-seed-key": 96_003 },
      not_evaluated: { "someip-offer": "temporal correlations are not evaluated" },
    };
    await page.reload();
    await page.waitForSelector(".card.warning");
    equal(
      await page.locator(".card.warning h2").allTextContents(),
      ["Detection is degraded", "Rules that are not evaluated"],
      "warnings",
    );
    const text = await page.textContent(".card.warning [role=alert]");
    truly(text.includes("2 rules hit a bound of their state; 97,207 matches"), text);
    equal(
      await page.locator(".card.warning tbody tr td:first-child").allTextContents(),
      ["diag-seed-key", "fleet-unknown-id", "someip-offer"],
      "rules, most first",
    );
    equal(await axe(page), [], "axe");
    await page.screenshot({ path: `${shots}degraded-1280-dark.png` });
    await page.goto(`${mock.url}/cases`);
    await page.waitForSelector(".live-mark.live");
    equal(
      await page.locator(".side a[href='/health'] .tag.warn").count(),
      0,
      "mark before the stream says so",
    );
    const health = await (await page.request.get(`${mock.url}/api/v1/health`)).json();
    mock.push("health", health);
    await page.waitForSelector(".side a[href='/health'] .tag.warn >> text=4 things need attention");
    mock.push("health", { ...health, detect: { state_entries: 1, late_findings: 0 }, stages: [] });
    await page.waitForSelector(".side a[href='/health'] .tag.warn", { state: "detached" });
    mock.state.detect = {};
  });
}
