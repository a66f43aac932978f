// Browser tests of the emergency stop.
import { axe } from "./browser.mjs";
import { setStop } from "./mock-stop.mjs";

const BANNER = ".stop-banner";

/** Chooses an act in the palette, by keyboard alone. */
async function choose(page, words) {
  await page.keyboard.press("Control+k");
  await page.waitForSelector("dialog.palette");
  await page.keyboard.type(words);
  await page.keyboard.press("Enter");
}

async function give(page, reason) {
  await page.waitForSelector("dialog textarea[name=reason]");
  await page.fill("dialog textarea[name=reason]", reason);
  await page.click("dialog button[type=submit]");
}

/** Opens the first alert of a case and asks for evidence around its event. */
async function ask(page, mock, title) {
  const alert = mock.state.alerts.find(
    (each) => each.rule_id === "secoc-mac" && each.status === "new" && !each.case_id,
  );
  await page.goto(`${mock.url}/alerts/${alert.id}`);
  await page.waitForSelector(".event-body");
  await page.keyboard.press("n");
  await page.fill("input[name=title]", title);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/cases\/case-/);
  await page.click(".list a");
  await page.waitForSelector(".event-body");
  await page.keyboard.press("e");
  await page.waitForSelector("dialog input[name=before]");
}

export async function stopParts({ mock, page, open, login, part, equal, truly, shots, provoke }) {
  await part(
    "an analyst sets the emergency stop by keyboard, and every page of everybody says so",
    async () => {
      mock.state.role = "analyst";
      const other = await open({ scheme: "light" });
      await login(other, "/fleet");
      await other.waitForSelector(".live-mark.live");
      await page.goto(`${mock.url}/alerts`);
      await page.waitForSelector(".grid-row[data-at]");
      equal(await page.locator(BANNER).count(), 0, "banner before");
      await page.keyboard.press("!");
      await page.waitForSelector("dialog textarea[name=reason]");
      const effect = await page.textContent("dialog form > p");
      truly(/no command reaches any vehicle/.test(effect) && /voided for good/.test(effect), effect);
      equal(await axe(page), [], "axe on the dialog");
      await page.screenshot({ path: `${shots}stop-dialog-1280-dark.png` });
      await page.fill("dialog textarea[name=reason]", "   ");
      await page.click("dialog button[type=submit]");
      await page.waitForSelector("dialog [role=alert] >> text=Give a reason");
      equal(mock.state.stop.is_set, false, "state after a blank reason");
      await page.keyboard.press("Escape");
      await page.waitForSelector("dialog", { state: "detached" });
      equal(mock.state.stop.is_set, false, "state after Escape");
      await page.keyboard.press("!");
      await give(page, "Commands that nobody asked for");
      for (const each of [page, other]) {
        await each.waitForSelector(`${BANNER} >> text=no command reaches any vehicle`);
        const text = await each.textContent(BANNER);
        for (const words of ["by mara", "2026-11-20 12:00:00 UTC", "Commands that nobody asked for"])
          truly(text.includes(words), `“${words}” is missing in “${text}”`);
      }
      equal(await axe(other), [], "axe, light");
      await other.screenshot({ path: `${shots}stop-fleet-1280-light.png` });
      await page.keyboard.press("!");
      await page.waitForSelector(".toast >> text=The emergency stop is set already");
      equal(
        await page.textContent(`${BANNER} [aria-disabled=true] .sr`),
        "Needs the role engineer or admin",
        "release for an analyst",
      );
      for (const path of ["/overview", "/cases", "/vehicles", "/health"]) {
        await page.goto(mock.url + path);
        await page.waitForSelector(BANNER);
      }
      await other.context().close();
    },
  );

  await part("what is asked for while stopped is refused in words", async () => {
    await ask(page, mock, "Asked while stopped");
    await page.waitForSelector("dialog >> text=the safety gate will refuse this request");
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(".evidence[data-state=refused_by_gate]");
    const text = await page.textContent(".evidence");
    for (const words of ["Refused by the safety gate", "The emergency stop is set", "Nothing was sent"])
      truly(text.includes(words), `“${words}” is missing`);
    await page.screenshot({ path: `${shots}stop-refused-1280-dark.png` });
  });

  await part("two persons release the stop, and nobody alone", async () => {
    mock.state.role = "engineer";
    await page.goto(`${mock.url}/overview`);
    await page.waitForSelector(BANNER);
    await choose(page, "propose rel");
    await give(page, "The commands came from the test bench");
    await page.waitForSelector(`${BANNER} >> text=You proposed its release`);
    await page.waitForSelector(`${BANNER} >> text=The commands came from the test bench`);
    equal(
      await page.textContent(`${BANNER} [aria-disabled=true] .sr`),
      "Another engineer or admin must confirm it",
      "own proposal",
    );
    equal(await axe(page), [], "axe");
    await page.screenshot({ path: `${shots}stop-proposed-1280-dark.png` });
    await page.click(`${BANNER} >> text=Keep stopped`);
    await page.waitForSelector("dialog >> text=The proposed release is discarded");
    await give(page, "Not sure yet");
    await page.waitForSelector(`${BANNER} >> text=Propose release`);
    equal(mock.state.stop.release, undefined, "proposal");
    mock.state.stop.release = { by: "jon", at: mock.state.stop.set_at, reason: "Bench switched off" };
    mock.push("stop", mock.state.stop);
    await page.waitForSelector(`${BANNER} >> text=jon proposed its release`);
    await page.click(`${BANNER} >> text=Confirm release`);
    await page.waitForSelector("dialog >> text=Bench switched off");
    await give(page, "Seen it myself");
    await page.waitForSelector(BANNER, { state: "detached" });
    await page.waitForSelector(".toast >> text=The emergency stop was released");
    equal(mock.state.stop.is_set, false, "state");
  });

  await part("somebody who was faster is no fault of the page", async () => {
    setStop(mock.state, "mara", "again");
    await page.waitForSelector(BANNER);
    await page.click(`${BANNER} >> text=Propose release`);
    await page.waitForSelector("dialog textarea[name=reason]");
    mock.state.stop = { is_set: false };
    await provoke(async () => {
      await give(page, "fine");
      await page.waitForSelector("dialog [role=alert] >> text=the emergency stop is not set");
    });
    await page.keyboard.press("Escape");
    await page.waitForSelector(BANNER, { state: "detached" });
  });

  await part("the stop voids what waits for a vehicle, and the case says so", async () => {
    mock.state.silent = true;
    await ask(page, mock, "Voided on the way");
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(".evidence[data-state=sent]");
    setStop(mock.state, "jon", "odd commands");
    await page.waitForSelector(".evidence[data-state=expired][data-voided=true]");
    const text = await page.textContent(".evidence");
    truly(text.includes("Voided by the emergency stop") && !text.includes("Received"), text);
    await page.screenshot({ path: `${shots}stop-voided-1280-dark.png` });
    equal(await axe(page), [], "axe");
    mock.state.silent = false;
  });

  await part("a stop whose state cannot be read is not taken for none", async () => {
    mock.state.stop = { is_set: false };
    await provoke(async () => {
      mock.state.fail = ["/stop"];
      await page.goto(`${mock.url}/overview`);
      await page.waitForSelector(`${BANNER} >> text=It is not known whether the emergency stop is set`);
      equal(await axe(page), [], "axe");
      mock.state.fail = [];
    });
    await page.click(`${BANNER} >> text=Try again`);
    await page.waitForSelector(BANNER, { state: "detached" });
  });

  await part("the banner leaves room at 200 % zoom", async () => {
    setStop(mock.state, "mara", `A long story, ${"told in every detail, ".repeat(22)}`.slice(0, 500));
    const narrow = await open({ width: 640, height: 400 });
    await login(narrow, "/alerts");
    await narrow.waitForSelector(BANNER);
    await narrow.screenshot({ path: `${shots}stop-640-dark.png` });
    const over = await narrow.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    truly(over <= 0, `${over} px too wide`);
    await narrow.context().close();
    mock.state.stop = { is_set: false };
    mock.push("stop", mock.state.stop);
    mock.state.role = "admin";
  });
}
