// Browser tests of a vehicle's identity: seen, suspended and resumed, and refused in words.
import { axe } from "./browser.mjs";

export async function identityParts({ mock, page, part, equal, truly, shots }) {
  const id = mock.state.vehicles[2].summary.vehicle_id;
  const card = "section[aria-label=Identity]";

  await part("a vehicle's certificates and its log are on its page", async () => {
    await page.goto(`${mock.url}/vehicles/${id}/health`);
    await page.waitForSelector(card);
    equal(await page.locator("section[aria-label=Certificates] tbody tr").count(), 2, "certificates");
    truly((await page.textContent("section[aria-label='Identity log']")).includes("too_early"), "a refusal");
    equal(await axe(page), [], "axe");
    await page.locator(card).scrollIntoViewIfNeeded();
    await page.screenshot({ path: `${shots}identity-1280-dark.png` });
  });

  await part("suspending asks why, says what happens, and resuming undoes it, by keyboard alone", async () => {
    await page.locator(card).getByRole("button", { name: "Suspend", exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog textarea");
    equal(await axe(page), [], "axe in the dialog");
    await page.keyboard.type("two places, one certificate");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog", { state: "detached" });
    await page.waitForSelector(`${card} .tag.warn >> text=Suspended`);
    truly((await page.textContent(card)).includes("two places, one certificate"), "the reason");
    await page.locator(card).getByRole("button", { name: "Resume", exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog textarea");
    await page.keyboard.type("the workshop changed the key");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector(`${card} .tag.ok >> text=Active`);
  });

  await part("a vehicle that this installation gave nothing to says so", async () => {
    mock.state.empty = true;
    await page.reload();
    await page.waitForSelector("text=This installation issued no certificate to the vehicle");
    await page.waitForSelector("text=Nothing happened yet");
    mock.state.empty = false;
  });
}
