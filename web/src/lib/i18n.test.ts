import { describe, expect, it } from "vitest";
import { bytes, compact, counted, number, t, word } from "./i18n";

describe("texts", () => {
  it("fill in what is named and leave a forgotten name visible", () => {
    expect(t("queue.loaded", { loaded: 1, total: "2" })).toBe("1 of 2");
    expect(t("queue.loaded", { loaded: 1 })).toBe("1 of {total}");
  });
  it("count one as one", () => {
    expect([counted("vehicle.open", 1), counted("vehicle.open", 0), counted("vehicle.open", 1200)]).toEqual([
      "1 open alert",
      "0 open alerts",
      "1,200 open alerts",
    ]);
  });
  it("show a server word that has no text as it is", () => {
    expect([word("status", "new"), word("status", "on_hold")]).toEqual(["New", "on hold"]);
  });
});

describe("numbers", () => {
  it("are grouped, shortened, or in binary units", () => {
    expect([number(1234567), compact(1_234_567)]).toEqual(["1,234,567", "1.2M"]);
    expect([bytes(0), bytes(1023), bytes(1024), bytes(48_211), bytes(5 * 1024 ** 4)]).toEqual([
      "0 B",
      "1023 B",
      "1.0 KiB",
      "47 KiB",
      "5.0 TiB",
    ]);
  });
});
