// Adds up what a browser transfers, in brotli, and fails when a budget is exceeded.
import { brotliCompressSync } from "node:zlib";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const dist = new URL("../dist/", import.meta.url).pathname;
const manifest = JSON.parse(readFileSync(join(dist, ".vite/manifest.json"), "utf8"));

/** First page and the map on top of it, in thousand bytes. */
const BUDGETS = { first: 160, map: 110 };

const size = (file) => {
  const packed = join(dist, `${file}.br`);
  return existsSync(packed)
    ? readFileSync(packed).length
    : brotliCompressSync(readFileSync(join(dist, file))).length;
};

/** Every file that the entry `key` needs at once: its own, its imports', its styles. */
function closure(key, seen = new Set()) {
  const chunk = manifest[key];
  if (!chunk || seen.has(chunk.file)) return seen;
  seen.add(chunk.file);
  for (const css of chunk.css ?? []) seen.add(css);
  for (const next of chunk.imports ?? []) closure(next, seen);
  return seen;
}

const sum = (files) => [...files].reduce((all, file) => all + size(file), 0);
const shell = closure("index.html").add("index.html");
const first = closure("src/features/alerts/Page.tsx", new Set(shell));
const mapFiles = [...closure("src/features/fleet/Page.tsx", new Set(shell))].filter(
  (file) => !shell.has(file),
);
const world = Object.values(manifest).find((chunk) => chunk.file.includes("countries-110m"));
if (world) mapFiles.push(world.file);

const results = [
  ["shell", sum(shell), Infinity],
  ["first page (/alerts)", sum(first), BUDGETS.first * 1000],
  ["map on top of the shell", sum(mapFiles), BUDGETS.map * 1000],
];
let failed = false;
for (const [name, bytes, budget] of results) {
  const over = bytes > budget;
  failed ||= over;
  console.log(
    `${name.padEnd(26)} ${(bytes / 1000).toFixed(1).padStart(7)} kB${Number.isFinite(budget) ? ` of ${budget / 1000} kB` : ""}${over ? "  OVER BUDGET" : ""}`,
  );
}
process.exit(failed ? 1 : 0);
