// Browser tests of remote configuration.
import { axe } from "./browser.mjs";
import { moveOrder, proposeRollout } from "./mock-updates.mjs";
import { NOW_MS, stamp } from "./mock-data.mjs";

/** Chooses an act in the palette, by keyboard alone. */
async function choose(page, words) {
  await page.keyboard.press("Control+k");
  await page.waitForSelector("dialog.palette");
  await page.keyboard.type(words);
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog:not(.palette) form");
}

const submit = (page) => page.click("dialog button[type=submit]");
const closed = (page) => page.waitForSelector("dialog", { state: "detached" });

export async function updateParts({ mock, page, open, login, part, equal, truly, shots, provoke }) {
  const vehicle = mock.state.vehicles[0].summary.vehicle_id;
  const newest = () => [...mock.state.updates.rollouts.values()].at(-1);
  const said = (target) => page.waitForSelector(`.evidence[data-state=${target}]`);

  await part("an engineer uploads an artifact and hears why one is not taken", async () => {
    mock.state.role = "engineer";
    await page.goto(`${mock.url}/overview`);
    await page.waitForSelector(".critical-figure");
    await page.keyboard.press("g");
    await page.keyboard.press("u");
    await page.waitForURL(/\/configuration$/);
    await page.waitForSelector("tr[data-artifact]");
    await choose(page, "upload art");
    const effect = await page.textContent("dialog form > p");
    truly(/No vehicle gets it by that/.test(effect), effect);
    equal(await axe(page), [], "axe on the dialog");
    const file = (text) => ({
      name: "a.oraf",
      mimeType: "application/octet-stream",
      buffer: Buffer.from(text),
    });
    await page.setInputFiles("dialog [name=file]", file("something else"));
    await provoke(async () => {
      await submit(page);
      await page.waitForSelector("dialog [role=alert] >> text=the signature is not by key");
    });
    await page.setInputFiles("dialog [name=file]", file("rules 7 signed"));
    await submit(page);
    await closed(page);
    await page.waitForSelector(".toast >> text=Rules 7 is stored");
    await page.waitForSelector("tr[data-artifact] >> text=Rules 7");
    await page.waitForSelector("tr[data-artifact] >> text=Not read here");
    equal(mock.state.updates.artifacts.length, 2, "artifacts");
    await page.screenshot({ path: `${shots}configuration-1280-dark.png` });
  });

  await part(
    "a rollout is proposed by keyboard from a vehicle, and its author cannot confirm it",
    async () => {
      await page.goto(`${mock.url}/vehicles/${vehicle}`);
      await page.waitForSelector(".tabs");
      await page.keyboard.press("6");
      await page.waitForSelector("[data-kind=policy] >> text=Version 2");
      await page.waitForSelector("[data-kind=rules] >> text=As provisioned");
      await choose(page, "propose roll");
      equal(await page.inputValue("dialog [name=vehicles]"), vehicle, "vehicle filled in");
      const effect = await page.textContent("dialog form > p");
      truly(/another engineer or admin must confirm/.test(effect), effect);
      await page.waitForSelector("dialog select[name=artifact]");
      equal(await axe(page), [], "axe on the dialog");
      await page.screenshot({ path: `${shots}configuration-propose-1280-dark.png` });
      const policy = mock.state.updates.artifacts.find((each) => each.kind === "policy");
      await page.selectOption("dialog [name=artifact]", policy.sha256);
      await page.fill("dialog [name=reason]", "   ");
      await submit(page);
      await page.waitForSelector("dialog [role=alert] >> text=Say why");
      await page.fill("dialog [name=vehicles]", "not a vehicle");
      await page.fill("dialog [name=reason]", "Unknown ids come at once");
      await provoke(async () => {
        await submit(page);
        await page.waitForSelector("dialog [role=alert] >> text=is no vehicle id");
      });
      await page.fill("dialog [name=vehicles]", vehicle);
      await page.focus("dialog button[type=submit]");
      await page.keyboard.press("Enter");
      await closed(page);
      await said("proposed");
      equal([newest().reason, newest().orders.length], ["Unknown ids come at once", 1], "stored");
      await page.waitForFunction(() =>
        [...document.querySelectorAll("[aria-disabled=true] .sr")].some(
          (each) => each.textContent === "Another engineer or admin must confirm it",
        ),
      );
      equal(await axe(page), [], "axe");
    },
  );

  await part("a second person confirms and sees every step to the vehicle's word", async () => {
    newest().proposed_by = "jon";
    for (const order of newest().orders) order.proposed_by = "jon";
    mock.push("update", newest().orders[0]);
    await page.waitForSelector(".evidence >> text=by jon");
    await page.waitForFunction(
      () =>
        ![...document.querySelectorAll("[aria-disabled=true] .sr")].some((each) =>
          /Another engineer/.test(each.textContent),
        ),
    );
    await choose(page, "confirm roll");
    const text = await page.textContent("dialog form");
    for (const words of ["cannot be called back", "Policy 3", "1 vehicle", "Unknown ids come at once"])
      truly(text.includes(words), `“${words}” is missing in “${text}”`);
    equal(await axe(page), [], "axe on the dialog");
    await page.screenshot({ path: `${shots}configuration-confirm-1280-dark.png` });
    await page.keyboard.type("Reviewed the rules");
    await submit(page);
    await closed(page);
    await said("permitted");
    const order = newest().orders[0];
    moveOrder(mock.state, order, "sent", "The command left with a reply to the vehicle.");
    mock.state.updates.told.policy = 3;
    moveOrder(mock.state, order, "accepted", "The vehicle accepted the command.");
    await said("accepted");
    await page.waitForSelector("[data-kind=policy] >> text=On trial");
    await page.waitForSelector("text=No rollout is open", { state: "attached" });
    mock.state.updates.told.policy = 2;
    mock.state.updates.returned = {
      at: stamp(NOW_MS),
      kind: "policy",
      version: 3,
      reason: "event_rate",
    };
    moveOrder(mock.state, order, "refused_by_vehicle", "The vehicle refused it: unhealthy.", {
      reasons: ["unhealthy"],
    });
    await said("refused_by_vehicle");
    await page.waitForSelector("text=It did harm and was taken back");
    await page.waitForSelector("dd >> text=Too many events");
    equal(await page.locator(".steps li").count(), 6, "steps");
    equal(await axe(page), [], "axe");
    await page.screenshot({ path: `${shots}configuration-vehicle-1280-dark.png` });
  });

  await part("a platform is proposed as a whole and withdrawn before it is sent", async () => {
    await page.goto(`${mock.url}/configuration`);
    await page.waitForSelector("tr[data-rollout]");
    await choose(page, "propose roll");
    await page.check("dialog [name=by_platform]");
    await page.fill("dialog [name=platform]", "P3");
    await page.fill("dialog [name=reason]", "The whole platform");
    await submit(page);
    await closed(page);
    await page.waitForSelector("tr[data-rollout=rollout-2]");
    await page.goto(`${mock.url}/configuration?rollout=rollout-2`);
    await said("proposed");
    equal(await page.locator(".evidence").count(), 2, "orders");
    await choose(page, "withdraw roll");
    await page.waitForSelector("dialog >> text=Vehicles that have their command are not touched");
    await page.fill("dialog [name=reason]", "Wrong version");
    await submit(page);
    await closed(page);
    await said("cancelled");
    equal(newest().cancelled_by, "mara", "stored");
    await page.waitForSelector("[aria-disabled=true] .sr >> text=Everything was sent or has ended", {
      state: "attached",
    });
  });

  await part("what the gate refuses is told in words, and an analyst may only look", async () => {
    const sha256 = mock.state.updates.artifacts[0].sha256;
    proposeRollout(mock.state, "jon", { sha256, vehicle_ids: [vehicle], reason: "while stopped" });
    mock.state.stop = { is_set: true, set_by: "jon", set_at: stamp(NOW_MS), reason: "odd" };
    mock.push("stop", mock.state.stop);
    await page.goto(`${mock.url}/configuration`);
    await page.waitForSelector("tr[data-rollout=rollout-3]");
    await choose(page, "confirm roll");
    await page.keyboard.type("fine");
    await submit(page);
    await closed(page);
    await said("refused_by_gate");
    await page.waitForSelector(".evidence >> text=The emergency stop is set");
    mock.state.stop = { is_set: false };
    mock.push("stop", mock.state.stop);
    mock.state.role = "analyst";
    const looking = await open({ scheme: "light" });
    await login(looking, "/configuration");
    await looking.waitForSelector("tr[data-artifact]");
    const reasons = await looking.locator("[aria-disabled=true] .sr").allTextContents();
    equal(
      reasons.filter((each) => each === "Needs the role engineer or admin").length,
      4,
      "acts out of an analyst's reach",
    );
    equal(await axe(looking), [], "axe, light");
    await looking.screenshot({ path: `${shots}configuration-1280-light.png` });
    await looking.context().close();
    mock.state.role = "admin";
  });
}
