import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openStream } from "./stream";

class FakeSource extends EventTarget {
  readyState = 0;
  closed = false;
  constructor(readonly url: string) {
    super();
  }
  close() {
    this.closed = true;
  }
  send(topic: string, data: string, lastEventId: string) {
    this.dispatchEvent(new MessageEvent(topic, { data, lastEventId }));
  }
  fail(readyState: number) {
    this.readyState = readyState;
    this.dispatchEvent(new Event("error"));
  }
}

const sources: FakeSource[] = [];
const received: [string, unknown][] = [];
const states: string[] = [];
const open = () =>
  openStream(
    (last) => `/stream?${last ?? ""}`,
    { receive: (topic, body) => received.push([topic, body]), state: (state) => states.push(state) },
    (url) => {
      const source = new FakeSource(url);
      sources.push(source);
      return source as unknown as EventSource;
    },
  );

beforeEach(() => {
  vi.useFakeTimers();
  sources.length = 0;
  received.length = 0;
  states.length = 0;
});
afterEach(() => void vi.useRealTimers());

describe("the event stream", () => {
  it("hands on what it can read and drops what it cannot", () => {
    open();
    sources[0]?.send("alert", '{"id":"a"}', "1");
    sources[0]?.send("alert", "{broken", "2");
    sources[0]?.send("unheard-of", "{}", "3");
    expect(received).toEqual([["alert", { id: "a" }]]);
  });

  it("leaves a broken connection to the browser, which resumes it itself", () => {
    open();
    sources[0]?.fail(0);
    vi.advanceTimersByTime(60_000);
    expect([sources.length, states]).toEqual([1, ["connecting", "lost"]]);
  });

  it("opens a refused stream anew from the last id, with growing pauses", () => {
    open();
    sources[0]?.send("alert", "{}", "41");
    sources[0]?.fail(2);
    vi.advanceTimersByTime(999);
    expect(sources.length).toBe(1);
    vi.advanceTimersByTime(1);
    expect(sources[1]?.url).toBe("/stream?41");
    sources[1]?.fail(2);
    vi.advanceTimersByTime(1_999);
    expect(sources.length).toBe(2);
    vi.advanceTimersByTime(1);
    expect(sources.length).toBe(3);
  });

  it("stays closed once closed", () => {
    const close = open();
    close();
    sources[0]?.fail(2);
    vi.advanceTimersByTime(60_000);
    expect([sources.length, sources[0]?.closed]).toEqual([1, true]);
  });
});
