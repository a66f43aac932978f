// Browser tests of the hunting page.
import { readFileSync } from "node:fs";
import { axe } from "./browser.mjs";

const ROWS = ".answer-rows .answer-row";

const write = async (page, query) => {
  await page.fill("textarea.sql", query);
  await page.focus("textarea.sql");
};

export async function huntParts({ mock, page, open, login, part, equal, truly, shots, provoke }) {
  await part(
    "hunting: the keyboard asks, the address holds the query, the table holds few rows",
    async () => {
      await page.goto(`${mock.url}/alerts`);
      await page.waitForSelector(".grid-row[data-at]");
      await page.keyboard.press("g");
      await page.keyboard.press("h");
      await page.waitForSelector("textarea.sql");
      await page.waitForSelector("text=Not asked yet");
      equal(mock.state.asked.length, 0, "queries before anybody asked");
      await page.keyboard.press("i");
      await page.keyboard.press("Control+a");
      await page.keyboard.type("SELECT vehicle_id\nFROM events");
      await page.keyboard.press("Control+Enter");
      await page.waitForSelector(ROWS);
      equal(mock.state.asked, [{ query: "SELECT vehicle_id\nFROM events", limit: 1_000 }], "asked");
      equal(new URL(page.url()).searchParams.get("q"), "SELECT vehicle_id\nFROM events", "address");
      await page.waitForSelector("text=1,000 rows, 41 ms");
      await page.waitForSelector(".tag >> text=Only the first 1,000");
      const rows = await page.locator(ROWS).count();
      truly(rows > 10 && rows <= 60, `${rows} rows are in the document`);
      equal(await page.getAttribute(".answer", "aria-rowcount"), "1001", "aria-rowcount");
      equal(await axe(page), [], "axe");
      await page.screenshot({ path: `${shots}hunt-answer-1280-dark.png` });
    },
  );

  await part("hunting: j and k show a row in full, and a vehicle leads to its page and back", async () => {
    await page.keyboard.press("Escape");
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    await page.waitForSelector("h2 >> text=Row 2 of 1,000");
    await page.waitForSelector(`${ROWS}[aria-selected=true][aria-rowindex='3']`);
    equal(await axe(page), [], "axe");
    await page.screenshot({ path: `${shots}hunt-row-1280-dark.png` });
    await page.click(".row-facts a");
    await page.waitForURL(/\/vehicles\/[0-9a-f]{32}/);
    await page.goBack();
    await page.waitForSelector(ROWS);
    equal(mock.state.asked.length, 1, "queries after coming back");
  });

  await part("hunting: a shared address fills the editor and runs nothing by itself", async () => {
    const address = page.url();
    await page.goto(address);
    await page.waitForSelector("text=Not asked yet");
    equal(await page.inputValue("textarea.sql"), "SELECT vehicle_id\nFROM events", "editor");
    equal(mock.state.asked.length, 1, "queries");
    await page.selectOption(".hunt select", "10000");
    await page.keyboard.press("Control+Enter");
    await page.waitForSelector("text=2,500 rows");
    equal(await page.locator(".tag >> text=Only the first").count(), 0, "truncated");
    equal(new URL(page.url()).searchParams.get("limit"), "10000", "limit in the address");
    await page.locator("textarea.sql").press("End");
    await page.keyboard.type(" -- more");
    await page.waitForSelector(".tag >> text=Query changed since");
  });

  await part("hunting: the CSV file holds every row and runs nothing in a spreadsheet", async () => {
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=Download CSV")]);
    equal(file.suggestedFilename(), "outrider-hunt.csv", "name");
    const lines = readFileSync(await file.path(), "utf8").split("\r\n");
    equal(lines.length, 2_502, "lines");
    equal(lines[0], "vehicle_id,event_type,observations,first_seen,process_name", "heading");
    truly(/,'=cmd\|' \/C calc'!A0$/.test(lines[2]), lines[2]);
    truly(/,"very .*long name, ""2"""$/.test(lines[3]), lines[3]);
  });

  await part("hunting: a refusal names its place, and one key leads there", async () => {
    await provoke(async () => {
      await write(page, "SELECT a\nfrm events");
      await page.keyboard.press("Control+Enter");
      await page.waitForSelector(".refused >> text=Line 2, column 1");
    });
    truly((await page.textContent(".fault")).startsWith("frm events\n^^^"), await page.textContent(".fault"));
    equal(await axe(page), [], "axe");
    await page.screenshot({ path: `${shots}hunt-refused-1280-dark.png` });
    await page.click("text=Go there");
    equal(
      await page.evaluate(() => {
        const { value, selectionStart, selectionEnd } = document.activeElement;
        return value.slice(selectionStart, selectionEnd);
      }),
      "frm",
      "selection",
    );
    await provoke(async () => {
      await write(page, "SELECT nosuch FROM events");
      await page.keyboard.press("Control+Enter");
      await page.waitForSelector(".refused >> text=No field named nosuch");
      truly(!(await page.textContent(".refused")).includes("Valid fields"), "the list of all columns");
      await write(page, "SELECT timeout");
      await page.keyboard.press("Control+Enter");
      await page.waitForSelector(".refused >> text=Ask for less");
    });
    await write(page, "SELECT nothing");
    await page.keyboard.press("Control+Enter");
    await page.waitForSelector("text=No row matches");
    equal(await axe(page), [], "axe without rows");
  });

  await part("hunting: the catalogue completes what is typed, by keyboard alone", async () => {
    await write(page, "");
    await page.keyboard.type("SELECT can_i");
    await page.waitForSelector(".suggest [role=option][aria-selected=true] >> text=can_id");
    equal(await axe(page), [], "axe with suggestions");
    await page.screenshot({ path: `${shots}hunt-suggest-1280-dark.png` });
    await page.keyboard.press("Tab");
    await page.waitForFunction(() => document.querySelector("textarea.sql").value === "SELECT can_id");
    equal(await page.locator(".suggest").count(), 0, "lists after a choice");
    await page.keyboard.type("\nFROM events WHERE event_type = 'can");
    await page.waitForSelector(".suggest [role=option]");
    await page.keyboard.press("ArrowDown");
    const second = await page.textContent(".suggest [role=option][aria-selected=true] span");
    await page.keyboard.press("Enter");
    await page.waitForFunction((end) => document.querySelector("textarea.sql").value.endsWith(end), second);
    truly(second.startsWith("can."), second);
    await page.keyboard.type("' AND ");
    await page.keyboard.press("Control+Space");
    await page.waitForSelector(".suggest [role=option]");
    await page.keyboard.press("Escape");
    equal(await page.locator(".suggest").count(), 0, "lists after Escape");
    equal(await page.evaluate(() => document.activeElement.className), "sql", "focus after the first Escape");
    equal(mock.state.asked.at(-1).query, "SELECT nothing", "nothing was run");
  });

  await part("hunting: keys struck before the next frame follow what was completed", async () => {
    await page.evaluate(() => {
      window.outriderFrame = window.requestAnimationFrame;
      window.requestAnimationFrame = (drawn) => setTimeout(() => drawn(performance.now()), 500);
    });
    await write(page, "");
    await page.keyboard.type("SELECT can_i");
    await page.waitForSelector(".suggest [role=option][aria-selected=true] >> text=can_id");
    await page.keyboard.press("Tab");
    await page.keyboard.type(" FROM events");
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(drawn)));
    await page.keyboard.type(" LIMIT 5");
    equal(await page.inputValue("textarea.sql"), "SELECT can_id FROM events LIMIT 5", "query");
    await page.evaluate(() => {
      window.requestAnimationFrame = window.outriderFrame;
    });
  });

  await part("hunting: a bar of the distribution narrows the rows, and the address holds the column", async () => {
    await write(page, "SELECT spread");
    await page.keyboard.press("Control+Enter");
    await page.waitForSelector(".spread");
    equal(await page.inputValue("label:has-text('Rows by') select"), "3", "the first time is drawn");
    truly((await page.locator(".spread g").count()) > 5, "bars");
    await page.selectOption("label:has-text('Rows by') select", { label: "event_type" });
    equal(new URL(page.url()).searchParams.get("by"), "event_type", "address");
    await page.click(".note button:text-is('Table')");
    equal(await axe(page), [], "axe on the table");
    await page.locator(".note .choices-list button").first().click();
    await page.waitForSelector("text=/^[0-9]+ of 2,500 rows/");
    truly(Number(await page.getAttribute(".answer", "aria-rowcount")) < 2_501, "fewer rows");
    await page.screenshot({ path: `${shots}hunt-spread-1280-dark.png` });
    await page.click("text=Show all rows again");
    await page.waitForSelector("text=2,500 rows, 41 ms");
    await page.click(".note button:text-is('Table')");
    await page.locator(".spread g").first().click();
    await page.waitForSelector("text=Show all rows again");
    equal(await axe(page), [], "axe on the bars");
    await page.selectOption("label:has-text('Rows by') select", { label: "no column" });
    equal(await page.locator(".spread").count(), 0, "drawn");
    await page.waitForSelector("text=2,500 rows, 41 ms");
  });

  await part("hunting: one may stop waiting", async () => {
    await write(page, "SELECT slow");
    await page.keyboard.press("Control+Enter");
    await page.waitForSelector("text=Running…");
    await page.keyboard.press("Control+Enter");
    await page.waitForSelector(".toast >> text=A query is running");
    await page.click("text=Stop waiting");
    await page.waitForSelector("text=Not asked yet");
  });

  await part(
    "hunting: queries are remembered, saved, replaced and deleted, for this account only",
    async () => {
      const history = page.locator(".card:has(h2:text-is('Last queries')) li");
      truly((await history.count()) >= 6, "history");
      equal(await history.first().locator(".mono").textContent(), "SELECT slow", "newest");
      await write(page, "SELECT 1 -- mine, never run");
      await page.click("text=CAN trouble, then diagnosis");
      truly((await page.inputValue("textarea.sql")).includes("JOIN events b"), "example in the editor");
      equal(
        await history.first().locator(".mono").textContent(),
        "SELECT 1 -- mine, never run",
        "kept draft",
      );
      await page.focus("textarea.sql");
      await page.keyboard.press("Control+s");
      await page.waitForSelector("dialog [name=name]");
      equal(await axe(page), [], "axe on the dialog");
      await page.fill("dialog [name=name]", "CAN then UDS");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".toast >> text=Saved as CAN then UDS");
      await page.reload();
      await page.waitForSelector("textarea.sql");
      await page.click(".card:has(h2:text-is('Saved here')) >> text=CAN then UDS");
      truly((await page.inputValue("textarea.sql")).includes("JOIN events b"), "saved query in the editor");
      await page.screenshot({ path: `${shots}hunt-saved-1280-dark.png` });
      await page.click("[aria-label='Delete CAN then UDS']");
      await page.waitForSelector("text=Nothing saved");
      await page.click(".toast >> text=Undo");
      await page.waitForSelector(".card:has(h2:text-is('Saved here')) >> text=CAN then UDS");
      mock.state.user = "jon";
      await page.reload();
      await page.waitForSelector("text=Nothing asked yet");
      mock.state.user = "mara";
    },
  );

  await part("hunting: a column is found by its meaning and put where the cursor stands", async () => {
    await page.goto(`${mock.url}/hunt`);
    await write(page, "SELECT  FROM events");
    await page.evaluate(() => document.activeElement.setSelectionRange(7, 7));
    await page.keyboard.press("Escape");
    await page.keyboard.press("/");
    await page.keyboard.type("negative response");
    await page.click(".card:has([data-search]) li button");
    await page.waitForFunction(
      () => document.querySelector("textarea.sql").value === "SELECT uds_nrc FROM events",
    );
  });

  await part("hunting: a query too long for an address works and says so", async () => {
    const before = mock.state.asked.length;
    await write(page, `SELECT vehicle_id FROM events -- ${"long ".repeat(2_000)}`);
    await page.keyboard.press("Control+Enter");
    await page.waitForSelector(ROWS);
    await page.waitForSelector("text=This query is too long for an address");
    equal([mock.state.asked.length, new URL(page.url()).searchParams.get("q")], [before + 1, null], "asked");
  });

  await part("hunting: 10,000 rows of a hundred columns stay usable", async () => {
    await page.goto(`${mock.url}/hunt?limit=10000&q=${encodeURIComponent("SELECT * FROM events")}`);
    await page.waitForSelector("textarea.sql");
    await page.keyboard.press("Control+Enter");
    await page.waitForSelector(ROWS);
    const columns = Number(await page.getAttribute(".answer", "aria-colcount"));
    truly(columns > 90, `${columns} columns`);
    const started = performance.now();
    for (let step = 0; step < 20; step += 1)
      await page.evaluate(
        () =>
          new Promise((done) => {
            document.querySelector(".answer").scrollBy(0, 3_000);
            requestAnimationFrame(() => requestAnimationFrame(done));
          }),
      );
    console.log(`       20 jumps of 3,000 px in ${Math.round(performance.now() - started)} ms`);
    const cells = await page.locator(`${ROWS} [role=gridcell]`).count();
    truly(cells > 100 && cells < 1_500, `${cells} cells are in the document`);
    await page.evaluate(() => document.querySelector(".answer").scrollTo(1e6, 1e6));
    await page.waitForSelector(`${ROWS}[aria-rowindex="10001"]`);
    await page.waitForSelector(`[role=columnheader][aria-colindex='${columns}']`);
    equal(await axe(page), [], "axe at the far end");
    equal(
      await page.evaluate(
        () => document.querySelector("main").scrollWidth - document.querySelector("main").clientWidth,
      ),
      0,
      "sideways scroll of the page",
    );
    await page.screenshot({ path: `${shots}hunt-wide-1280-dark.png` });
  });

  await part("hunting: wide, light and narrow", async () => {
    for (const [width, height, scheme] of [
      [1920, 1080, "light"],
      [1920, 1080, "dark"],
      [1280, 800, "light"],
      [640, 400, "dark"],
    ]) {
      const shown = await open({ width, height, scheme });
      await login(shown, `/hunt?q=${encodeURIComponent("SELECT vehicle_id FROM events")}`);
      await shown.waitForSelector("textarea.sql");
      await shown.keyboard.press("Control+Enter");
      await shown.waitForSelector(ROWS);
      await shown.click(`${ROWS}:nth-child(2)`);
      await shown.screenshot({ path: `${shots}hunt-${width}-${scheme}.png` });
      equal(await axe(shown), [], `axe at ${width}, ${scheme}`);
      const over = await shown.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      truly(over <= 0, `${over} px too wide at ${width}`);
      await shown.context().close();
    }
  });

  await part("hunting: an analyst sees why it is out of reach", async () => {
    mock.state.role = "analyst";
    await page.goto(`${mock.url}/hunt`);
    await page.waitForSelector("text=Needs the role engineer or admin");
    equal(await page.locator(".side a[href='/hunt']").count(), 0, "link");
    mock.state.role = "admin";
  });
}
