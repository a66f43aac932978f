import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Files below this size are not worth a second representation. */
const PRECOMPRESS_BYTES_MIN = 1024;
const TEXT = /\.(js|css|svg|json|html|txt)$/;

/** Writes `.br` and `.gz` beside each text asset, so that the server never compresses while answering. */
function precompress(): Plugin {
  let outDir = "dist";
  const walk = (folder: string): string[] =>
    readdirSync(folder).flatMap((name) => {
      const path = join(folder, name);
      return statSync(path).isDirectory() ? walk(path) : [path];
    });
  return {
    name: "precompress",
    apply: "build",
    configResolved(config) {
      outDir = config.build.outDir;
    },
    closeBundle() {
      // index.html is left alone: its nonce placeholder is replaced in every response.
      for (const path of walk(outDir).filter((p) => TEXT.test(p) && !p.endsWith("index.html"))) {
        const bytes = readFileSync(path);
        if (bytes.length < PRECOMPRESS_BYTES_MIN) continue;
        writeFileSync(
          `${path}.br`,
          brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 10 } }),
        );
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), precompress()],
  html: { cspNonce: "__CSP_NONCE__" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
    sourcemap: false,
  },
  test: { include: ["src/**/*.test.ts"], env: { TZ: "Asia/Kolkata" } },
  server: { proxy: { "/api": "http://127.0.0.1:8440" } },
});
