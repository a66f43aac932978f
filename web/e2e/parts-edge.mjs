// Browser tests of what detectors saw, and of what they say of themselves.
import { axe } from "./browser.mjs";

/** Opens the newest event of a title in the timeline. */
async function openEvent(page, title) {
  await page.locator(".event-line", { hasText: title }).first().click();
  await page.waitForSelector(`li[data-open] .event-line:has-text("${title}")`);
  return page.locator(".event-body .comparisons");
}

export async function edgeParts({ mock, page, open, login, part, equal, truly, shots, provoke }) {
  const { vehicle_id: id } = mock.state.vehicles[5].summary;
  const timeline = `/vehicles/${id}/timeline`;

  await part("an event plots what was expected against what was observed, and says it in words", async () => {
    await page.goto(mock.url + timeline);
    await page.waitForSelector(".event-body");
    const cycle = await openEvent(page, "can cycle time");
    await page.waitForSelector(".comparisons h3 >> text=time between two frames of one identifier");
    const label = await cycle.locator("svg").getAttribute("aria-label");
    truly(/^Observed [\d,]+ µs, expected 10,000 µs$/.test(label), label);
    const words = await cycle.textContent();
    for (const each of ["µs below", "Seen by cycle_time", "of a million quiet cases"])
      truly(words.includes(each), `“${each}” is missing in “${words}”`);
    const [expected, observed] = await cycle
      .locator("rect.expected, rect.observed")
      .evaluateAll((marks) => marks.map((mark) => mark.getBoundingClientRect().x));
    truly(observed < expected, `observed at ${observed}, expected at ${expected}`);
    equal(await axe(page), [], "axe");
    await page.screenshot({ path: `${shots}compare-cycle-1280-dark.png` });
    const flood = await openEvent(page, "can flood");
    truly((await flood.textContent()).includes("at most 1,200 Hz"), "limit");
    const signal = await openEvent(page, "can signal range");
    truly((await signal.textContent()).includes("-1.5 to 180"), await signal.textContent());
    await page.screenshot({ path: `${shots}compare-signal-1280-dark.png` });
    const unknown = await openEvent(page, "can unknown id");
    equal(await unknown.locator("svg").count(), 0, "plots of words");
    truly((await unknown.textContent()).includes("never seen on this bus"), "words");
    const crc = await openEvent(page, "can checksum mismatch");
    equal(await crc.locator("svg").count(), 0, "plots of checksums");
    await page.locator(".event-line", { hasText: "secoc mac failure" }).first().click();
    await page.waitForSelector(".comparisons", { state: "detached" });
  });

  await part("an alert shows what its events saw", async () => {
    const alert = mock.state.alerts.find((each) => each.rule_id === "can-unknown-id");
    await page.goto(`${mock.url}/alerts/${alert.id}`);
    await page.waitForSelector(".event-body .comparisons >> text=one of 84 known identifiers");
  });

  await part("a plot does without the catalogue", async () => {
    await provoke(async () => {
      mock.state.fail = ["/catalogue"];
      await page.goto(mock.url + timeline);
      await page.waitForSelector(".event-body");
      const cycle = await openEvent(page, "can cycle time");
      truly((await cycle.textContent()).includes("10,000 µs"), "unit of the event");
      mock.state.fail = [];
    });
  });

  await part("the vehicle's detectors say how often they spoke and how they stand", async () => {
    await page.goto(`${mock.url}/vehicles/${id}/health`);
    const card = page.locator(".card[aria-label=Detectors]");
    await card.locator("tbody tr").first().waitFor();
    const names = await card.locator("tbody td:first-child").allTextContents();
    for (const each of ["cycle_time", "flood", "unknown_id"])
      truly(names.includes(each), `${each} in ${names}`);
    truly(!names.includes("budget"), "a state is no alarm");
    const states = await card.locator(".states").textContent();
    for (const each of ["can warm up complete", "host sensor degraded", "ids status", "at most 30"])
      truly(states.includes(each), `“${each}” is missing`);
    await card.locator("summary", { hasText: "host sensor degraded" }).first().click();
    await card.locator("dd >> text=queue full").first().waitFor();
    equal(await axe(page), [], "axe");
    await page.screenshot({ path: `${shots}detectors-1280-dark.png`, fullPage: true });
    await card.locator("tbody a").first().click();
    await page.waitForURL(/timeline\?event=/);
    await page.waitForSelector(".event-body");
    mock.state.empty = true;
    await page.goto(`${mock.url}/vehicles/${id}/health`);
    await page.waitForSelector("text=No detector has spoken");
    mock.state.empty = false;
  });

  await part("comparisons at other widths and in light", async () => {
    for (const [width, height, scheme] of [
      [1920, 1080, "light"],
      [640, 400, "dark"],
    ]) {
      const shown = await open({ width, height, scheme });
      await login(shown, timeline);
      await shown.waitForSelector(".event-body");
      await openEvent(shown, "can flood");
      await shown.screenshot({ path: `${shots}compare-${width}-${scheme}.png` });
      equal(await axe(shown), [], `axe at ${width}`);
      await shown.goto(`${mock.url}/vehicles/${id}/health`);
      await shown.waitForSelector(".states");
      await shown.screenshot({ path: `${shots}detectors-${width}-${scheme}.png` });
      equal(await axe(shown), [], `axe on detectors at ${width}`);
      const over = await shown.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      truly(over <= 0, `${over} px too wide at ${width}`);
      await shown.context().close();
    }
  });
}
