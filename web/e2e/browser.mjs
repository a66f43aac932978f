// What both browser tests share: a Chromium that hears every error, and checks that count themselves.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--use-angle=swiftshader",
  "--enable-unsafe-swiftshader",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";

export const launch = () => chromium.launch({ executablePath: EXECUTABLE, args: FLAGS });

/** Counts checks; the last line of the run is `N passed, N failed`. */
export function makeReport() {
  let passed = 0;
  let failed = 0;
  const check = (name, ok, detail = "") => {
    if (ok) passed += 1;
    else {
      failed += 1;
      console.log(`FAILED ${name}${detail ? `: ${detail}` : ""}`);
    }
    return ok;
  };
  /** Runs one named part; whatever it throws is one failure and the next part still runs. */
  const part = async (name, run) => {
    const started = performance.now();
    try {
      await run();
      check(name, true);
      console.log(`ok     ${name} (${Math.round(performance.now() - started)} ms)`);
    } catch (error) {
      check(
        name,
        false,
        String(error?.message ?? error)
          .split("\n")
          .slice(0, 6)
          .join(" | "),
      );
    }
  };
  const close = () => {
    console.log(`${passed} passed, ${failed} failed`);
    return failed === 0 ? 0 : 1;
  };
  return { check, part, close };
}

/** Listens for everything that must not happen on any page. `expected` tells which failed answers a test provokes. */
export function watch(page, base, problems, expected = () => false) {
  page.on("console", (message) => {
    // The browser's line about a failed answer comes late and without its address; the answer itself is judged below.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      problems.push(`console: ${message.text()}`);
  });
  page.on("response", (answer) => {
    if (answer.status() >= 400 && !expected(answer)) problems.push(`${answer.status()} from ${answer.url()}`);
  });
  page.on("requestfailed", (request) => {
    const reason = request.failure()?.errorText ?? "";
    if (reason !== "net::ERR_ABORTED" && !request.url().endsWith("/stream"))
      problems.push(`${reason} from ${request.url()}`);
  });
  page.on("pageerror", (error) => problems.push(`page error: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith("data:") && !url.startsWith("blob:"))
      problems.push(`off-origin request: ${url}`);
  });
}

/** Runs axe through the debugger, which the CSP does not stop. Returns violations as lines. */
export async function axe(page) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Runtime.evaluate", { expression: AXE });
  const { result, exceptionDetails } = await cdp.send("Runtime.evaluate", {
    expression: `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], resultTypes: ["violations"] }).then((found) => JSON.stringify(found.violations.map((v) => v.id + " @ " + v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + (n.any[0]?.message ?? "")).join(" ; "))))`,
    awaitPromise: true,
    returnByValue: true,
  });
  await cdp.detach();
  if (exceptionDetails) return [`axe did not run: ${exceptionDetails.text}`];
  return JSON.parse(result.value);
}
