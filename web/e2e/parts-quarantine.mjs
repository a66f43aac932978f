// Browser tests of the quarantine and of feeds.
import { axe } from "./browser.mjs";

const LIST = "section[aria-label=Entries]";
const WHY = "section[aria-label=Why]";

export async function quarantineParts({ mock, page, part, equal, truly, shots, provoke }) {
  await part("quarantine: one reason is taken again as a whole, by keyboard alone", async () => {
    await page.goto(`${mock.url}/overview`);
    await page.waitForSelector(".live-mark.live");
    await page.keyboard.press("g");
    await page.keyboard.press("q");
    await page.waitForSelector(`${LIST} tbody tr`);
    equal(await page.locator(`${WHY} tbody tr`).count(), 5, "groups");
    truly((await page.textContent(`${WHY} header`)).includes("340 of 100,000 entries"), "bounds");
    equal(await page.locator(`${LIST} tbody tr`).count(), 100, "entries of the first page");
    equal(await axe(page), [], "axe");
    await page.screenshot({ path: `${shots}quarantine-1280-dark.png` });
    await page.locator(`${WHY} a[title="map.time"]`).first().focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector(`${LIST} .tag >> text=Reason: no time where the mapping looks`);
    const search = new URL(page.url()).searchParams;
    equal([search.get("reason"), search.get("feed")], ["map.time", "backend"], "address");
    const shown = await page.locator(`${LIST} tbody tr`).count();
    await page.keyboard.press("t");
    await page.waitForSelector(`dialog >> text=${shown} entries`);
    truly((await page.textContent("dialog")).includes("Feed: backend"), "what is chosen");
    equal(await axe(page), [], "axe on the dialog");
    await page.keyboard.press("Enter");
    await page.waitForSelector(`.toast >> text=${shown} entries are being taken again`);
    equal(
      mock.state.replays,
      [{ reason: "map.time", feed: "backend", format: "outrider.json" }],
      "what the server was asked",
    );
    await page.waitForSelector("text=No entry matches");
    await page.keyboard.press("t");
    await page.waitForSelector(".toast >> text=Nothing open is chosen");
  });

  await part("quarantine: what was picked is taken again, and says what became of it", async () => {
    await page.goto(`${mock.url}/quarantine?reason=row.equivocation`);
    await page.waitForSelector(`${LIST} tbody tr`);
    const boxes = page.locator(`${LIST} tbody input`);
    await boxes.nth(0).check();
    await boxes.nth(2).check();
    await page.click(`${LIST} button:has-text("Take again")`);
    await page.waitForSelector("dialog >> text=2 entries");
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(".toast >> text=2 entries are being taken again");
    equal(mock.state.replays.at(-1).ids.length, 2, "ids");
    await page.click(`${LIST} button:text-is("All")`);
    await page.waitForSelector(`${LIST} .tag >> text=Being taken again`);
    equal(await boxes.nth(0).isDisabled(), true, "what is being taken again cannot be picked");
    await page.click("[aria-label='Remove filter Reason']");
    await page.waitForSelector(`${LIST} .tag >> text=Taken again: 0 passed, 1 refused`);
    truly((await page.getAttribute(`${LIST} tbody tr:nth-child(3) a[download]`, "href")).endsWith("/content"), "bytes");
    await page.click(`${LIST} [aria-label='Choose all shown that are open']`);
    await page.waitForFunction(() => document.querySelectorAll("tbody input:checked").length > 50);
    await page.click("text=More");
    await page.waitForFunction(() => document.querySelectorAll("section[aria-label=Entries] tbody tr").length === 200);
    equal(await axe(page), [], "axe");
  });

  await part("feeds: balances, and the types that nobody mapped lead to their rows", async () => {
    await page.goto(`${mock.url}/overview`);
    await page.waitForSelector(".live-mark.live");
    await page.keyboard.press("g");
    await page.keyboard.press("e");
    await page.waitForSelector("text=12 types");
    equal(await page.locator("section[aria-label=Feeds] tbody tr").count(), 3, "feeds");
    truly(
      (await page.textContent("section[aria-label=Decoders] tbody tr:last-child")).includes("2026.1 – …"),
      "releases of a decoder",
    );
    truly(
      (await page.textContent("section[aria-label=Decoders] tbody tr:first-child")).endsWith("40,000113"),
      "what became of a decoder's documents",
    );
    equal(await axe(page), [], "axe");
    await page.screenshot({ path: `${shots}feeds-1280-dark.png` });
    await page.selectOption("label:has-text('of the last') select", "1");
    await page.waitForSelector("text=4 types");
    await page.click("section[aria-label=Feeds] a:text-is('113')");
    await page.waitForSelector(`${LIST} .tag >> text=Feed: backend`);
    await page.goBack();
    await page.click("text=it's new");
    await page.waitForSelector("textarea.sql");
    truly((await page.inputValue("textarea.sql")).includes("foreign_type = 'it''s new'"), "quoted");
  });

  await part("quarantine and feeds: empty, refused, and out of reach in words", async () => {
    mock.state.empty = true;
    await page.goto(`${mock.url}/quarantine`);
    await page.waitForSelector("text=Nothing is in quarantine");
    equal(await axe(page), [], "axe on empty quarantine");
    await page.goto(`${mock.url}/feeds`);
    await page.waitForSelector("text=No feed is registered");
    await page.waitForSelector("text=Every type of every feed is mapped");
    await page.waitForSelector("text=No decoder is in use");
    equal(await axe(page), [], "axe on empty feeds");
    mock.state.empty = false;
    await provoke(async () => {
      for (const [path, prefix] of [
        ["/quarantine", "/quarantine"],
        ["/feeds", "/feeds"],
      ]) {
        mock.state.fail = [prefix];
        await page.goto(mock.url + path);
        await page.waitForSelector("main .problem >> text=this answer is an error for a test");
        equal(await axe(page), [], `axe on failed ${path}`);
        mock.state.fail = [];
      }
      await page.goto(`${mock.url}/quarantine`);
      await page.waitForSelector(`${LIST} tbody tr`);
      mock.state.fail = ["/quarantine/replays"];
      await page.keyboard.press("t");
      await page.click("dialog button[type=submit]");
      await page.waitForSelector("dialog [role=alert] >> text=this answer is an error for a test");
      mock.state.fail = [];
      await page.keyboard.press("Escape");
    });
    mock.state.role = "analyst";
    await page.goto(`${mock.url}/quarantine`);
    await page.waitForSelector("text=Needs the role engineer or admin");
    mock.state.role = "admin";
  });
}
