// Browser tests of showing a VIN: asked with a reason, agreed to by somebody else, shown once, then gone.
import { axe } from "./browser.mjs";

const VIN = "WVWZZZ1JZXW000001";

export async function revealParts({ mock, page, part, equal, truly, shots }) {
  const id = mock.state.vehicles[3].summary.vehicle_id;
  const card = "section[aria-label=VIN]";
  const button = (name) => page.locator(`${card} button`, { hasText: name });
  const press = async (name) => {
    await button(name).focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog");
  };
  const seen = async () => (await page.content()).includes(VIN);

  await part("asking for a VIN needs a reason, by keyboard alone, and one cannot agree to oneself", async () => {
    await page.goto(`${mock.url}/vehicles/${id}/health`);
    await page.waitForSelector(`${card} >> text=Nobody asked for the VIN`);
    await press("Ask for the VIN");
    equal(await axe(page), [], "axe in the dialog");
    await page.keyboard.type("recall of a batch of cells");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog", { state: "detached" });
    await page.waitForSelector(`${card} .tag.warn >> text=Waits for a second person`);
    equal(await axe(page), [], "axe on the card");
    equal(await button("Agree to show the VIN").getAttribute("aria-disabled"), "true", "not one's own");
    equal(await button("Show the VIN once").getAttribute("aria-disabled"), "true", "nobody agreed");
    truly(!(await seen()), "no VIN before");
  });

  await part("another person sees who asks and why, and agrees", async () => {
    const asked = mock.state.reveals[0];
    asked.requested_by = "jon";
    await page.reload();
    await page.waitForSelector(`${card} >> text=recall of a batch of cells`);
    await press("Agree to show the VIN");
    const text = await page.textContent("dialog");
    truly(text.includes("jon") && text.includes("recall of a batch of cells"), "who and why");
    // The first thing in the dialog is to leave it.
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog", { state: "detached" });
    equal([asked.state, asked.approved_by], ["approved", mock.state.user], "request");
    equal(await button("Show the VIN once").getAttribute("aria-disabled"), "true", "only who asked");
  });

  await part("the VIN is shown once, to who asked, and is gone with the dialog", async () => {
    Object.assign(mock.state.reveals[0], { requested_by: mock.state.user, approved_by: "jon" });
    await page.reload();
    await page.waitForSelector(`${card} .tag >> text=Approved`);
    await press("Show the VIN once");
    truly(!(await seen()), "not before it is asked for");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog output");
    equal(await page.textContent("dialog output"), VIN, "VIN");
    equal(await axe(page), [], "axe while it is shown");
    await page.screenshot({ path: `${shots}reveal-1280-dark.png` });
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog", { state: "detached" });
    await page.waitForSelector(`${card} .tag >> text=Was shown`);
    truly(!(await seen()), "nothing of it is left on the page");
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
    truly(!kept.includes(VIN), "nor in the browser's storage");
    equal(await button("Show the VIN once").getAttribute("aria-disabled"), "true", "once");
  });
}
