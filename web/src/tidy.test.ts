import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { en } from "./messages/en";

const ROOT = new URL(".", import.meta.url).pathname;
const files = (readdirSync(ROOT, { recursive: true }) as string[])
  .map((name) => join(ROOT, name))
  .filter((path) => /\.(ts|tsx|css)$/.test(path) && !path.endsWith("schema.d.ts"));
const sources = files.map((path) => ({ path: relative(ROOT, path), text: readFileSync(path, "utf8") }));
const code = sources.filter(({ path }) => /\.tsx?$/.test(path) && !path.includes(".test."));

/** Lines of `where` that match, as `path:line`. */
const hits = (where: typeof sources, pattern: RegExp, except: readonly string[] = []): string[] =>
  where
    .filter(({ path }) => !except.includes(path))
    .flatMap(({ path, text }) =>
      text.split("\n").flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}`] : [])),
    );

describe("house rules", () => {
  it("finds the sources at all", () => {
    expect(code.length).toBeGreaterThan(40);
  });
  it("keep literal colours in the tokens", () => {
    const styles = sources.filter(({ path }) => path.endsWith(".css"));
    expect(hits(styles, /#[0-9a-f]{3,8}\b|\brgba?\(|\bhsla?\(/i, ["styles/tokens.css"])).toEqual([]);
    expect(hits(code, /["'`]#[0-9a-f]{3,8}["'`]|\brgba?\(|\bhsla?\(/i)).toEqual([]);
  });
  it("use only tokens that exist", () => {
    const tokens = new Set(
      Array.from(
        sources.find(({ path }) => path === "styles/tokens.css")?.text.matchAll(/^\s*(--[\w-]+):/gm) ?? [],
        (found) => found[1],
      ),
    );
    const used = sources.flatMap(({ text }) =>
      Array.from(text.matchAll(/var\((--[\w-]+)\)|token\("(--[\w-]+)"\)/g), (found) => found[1] ?? found[2]),
    );
    expect(used.filter((name) => !tokens.has(name))).toEqual([]);
  });
  it("listen to keys in one place", () => {
    expect(hits(code, /addEventListener\("key/, ["app/actions/context.tsx"])).toEqual([]);
  });
  it("treat server text as text", () => {
    expect(
      hits(code, /dangerouslySetInnerHTML|innerHTML|insertAdjacentHTML|\beval\(|new Function\(/),
    ).toEqual([]);
  });
  it("use no any and silence no check", () => {
    expect(hits(code, /: any\b|as any\b|<any>|@ts-ignore|@ts-nocheck|eslint-disable/)).toEqual([]);
  });
  it("put no text into markup but through the message table", () => {
    expect(
      hits(code, /(?<!=)>\s*[A-Za-z]{3,}[^<>{}()=;]*<\/[a-z]/, [
        "app/Shell.tsx",
        "features/session/Login.tsx",
      ]),
    ).toEqual([]);
    expect(hits(code, /\b(?:placeholder|title|aria-label|alt)="[^"]+"/)).toEqual([]);
  });
  it("use logical directions, so that right-to-left costs nothing", () => {
    const styles = sources.filter(({ path }) => path.endsWith(".css"));
    expect(
      hits(
        styles,
        /^\s*(?:margin|padding|border)-(?:left|right|top|bottom)|^\s*(?:left|right|top|bottom|width|height|(?:min|max)-(?:width|height)):/,
      ),
    ).toEqual([]);
  });
  it("keep files but the message table below five hundred lines", () => {
    expect(
      sources
        .filter(({ path, text }) => text.split("\n").length > 500 && path !== "messages/en.ts")
        .map(({ path }) => path),
    ).toEqual([]);
  });
  it("has no text that nothing shows", () => {
    const all = code
      .filter(({ path }) => path !== "messages/en.ts")
      .map(({ text }) => text)
      .join("\n");
    const prefixes = Array.from(
      all.matchAll(/(?:word\(\s*"|t\(`|counted\(`|prefix=")([\w.]+?)(?:"|\.\$\{)/g),
      (found) => `${found[1]}.`,
    );
    const built = [
      ...prefixes,
      "error.",
      "disposition.hint.",
      "live.",
      "filter.",
      "scope.",
      "span.",
      "action.vehicle.",
      "action.hunt.",
    ];
    const unused = Object.keys(en).filter(
      (key) =>
        !all.includes(`"${key}"`) &&
        !built.some((prefix) => key.startsWith(prefix)) &&
        !(key.endsWith("_one") && all.includes(`"${key.slice(0, -4)}"`)),
    );
    expect(unused).toEqual([]);
  });
});
