// Browser tests of what came in from the vehicles: the fleet's page and the vehicle's accounts.
import { axe } from "./browser.mjs";

const SIZES = [
  [1280, 800, "dark"],
  [1280, 800, "light"],
  [1920, 1080, "dark"],
  [1920, 1080, "light"],
];

export async function ingestParts({ mock, page, open, login, part, equal, truly, shots }) {
  const worst = mock.state.vehicles[0].summary.vehicle_id;

  await part("ingest health tells lanes, losses, lag and the worst vehicles", async () => {
    await page.goto(`${mock.url}/overview`);
    await page.waitForSelector(".live-mark.live");
    await page.keyboard.press("g");
    await page.keyboard.press("i");
    await page.waitForSelector("text=Last contact");
    equal(await page.locator("section[aria-label=Lanes] tbody tr").count(), 3, "lanes");
    truly((await page.textContent("section[aria-label=Lag]")).includes("below 4 s"), "half of the rows");
    equal(await page.locator("section[aria-label='Vehicles with gaps'] tbody tr").count(), 20, "vehicles");
    const sessions = await page.textContent("section[aria-label='Sessions and handshakes']");
    truly(sessions.includes("MQTT sessions open1,204") && sessions.includes("31"), sessions);
    equal(await axe(page), [], "axe");
    await page.click("section[aria-label='Vehicles with gaps'] tbody tr:first-child a");
    await page.waitForSelector(".lane-account");
    equal(new URL(page.url()).pathname, `/vehicles/${worst}/completeness`, "address");
  });

  await part("a vehicle's accounts say what balances, what is missing and what does not fit", async () => {
    await page.goto(`${mock.url}/vehicles/${worst}`);
    await page.waitForSelector(".bus-lane");
    await page.keyboard.press("5");
    await page.waitForSelector(".lane-account");
    equal(await page.locator(".lane-account").count(), 5, "accounts");
    equal(await page.locator(".lane-account .tag.bad").allTextContents(), [
      "rows above the end 100 that a later boot found",
      "Does not balance",
      "off by -3",
    ], "what is wrong");
    truly((await page.textContent("section[aria-label='What became of gaps']")).includes("200 filled after 3 d"), "gap");
    equal(await page.locator("section[aria-label=Boots] .tag.bad").allTextContents(), ["Not proven"], "anchor");
    truly((await page.textContent("section[aria-label=Boots]")).includes("TPM 2.09Proven"), "a proven anchor");
    equal(await page.locator(".card.warning tbody tr").count(), 2, "findings");
    equal(await axe(page), [], "axe");
  });

  await part("ingest pages are empty in words, and fail in words", async () => {
    mock.state.empty = true;
    await page.goto(`${mock.url}/ingest`);
    await page.waitForSelector("text=No vehicle has been heard of");
    await page.waitForSelector("text=Nothing is missing of any vehicle");
    await page.goto(`${mock.url}/vehicles/${worst}/completeness`);
    await page.waitForSelector("text=The vehicle has given up nothing");
    mock.state.empty = false;
  });

  for (const [width, height, scheme] of SIZES) {
    await part(`ingest pages in ${scheme} at ${width}`, async () => {
      const other = await open({ width, height, scheme });
      await login(other, "/ingest");
      await other.waitForSelector("text=Last contact");
      await other.screenshot({ path: `${shots}ingest-${width}-${scheme}.png` });
      const overflow = () => other.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      truly((await overflow()) <= 0, "the page is wider than the window");
      await other.goto(`${mock.url}/vehicles/${worst}/completeness`);
      await other.waitForSelector(".lane-account");
      await other.screenshot({ path: `${shots}completeness-${width}-${scheme}.png` });
      truly((await overflow()) <= 0, "the page is wider than the window");
      await other.context().close();
    });
  }
}
