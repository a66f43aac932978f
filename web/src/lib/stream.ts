/** One event stream a tab, carrying every topic; the browser resumes it with `Last-Event-ID`. */
export type StreamState = "connecting" | "live" | "lost";
export type Topic = "alert" | "case" | "evidence" | "update" | "overview" | "health" | "stop" | "reset";

const TOPICS: Topic[] = ["alert", "case", "evidence", "update", "overview", "health", "stop", "reset"];
/** First pause before a refused stream is opened anew; doubles up to the maximum. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 30_000;

type Handlers = { receive(topic: Topic, body: unknown): void; state(state: StreamState): void };
type Source = Pick<EventSource, "addEventListener" | "close" | "readyState">;

/**
 * Opens the stream and returns how to close it. A stream that the browser gave up on (any answer but 200) is opened
 * anew from the last id seen; a body that is not JSON is dropped, because a broken push must not break the page:
 * the next poll shows the truth.
 */
export function openStream(
  address: (lastEventId: string | undefined) => string,
  handlers: Handlers,
  create: (url: string) => Source = (url) => new EventSource(url),
): () => void {
  let source: Source | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let pause = RETRY_MS_MIN;
  let lastId: string | undefined;
  let closed = false;

  const open = () => {
    handlers.state("connecting");
    const opened = create(address(lastId));
    source = opened;
    opened.addEventListener("open", () => {
      pause = RETRY_MS_MIN;
      handlers.state("live");
    });
    opened.addEventListener("error", () => {
      handlers.state("lost");
      if (closed || opened.readyState !== 2) return;
      opened.close();
      timer = setTimeout(open, pause);
      pause = Math.min(pause * 2, RETRY_MS_MAX);
    });
    for (const topic of TOPICS) {
      opened.addEventListener(topic, (event) => {
        if (!(event instanceof MessageEvent)) return;
        if (event.lastEventId) lastId = event.lastEventId;
        const body = parse(event.data);
        if (body !== undefined) handlers.receive(topic, body);
      });
    }
  };

  open();
  return () => {
    closed = true;
    clearTimeout(timer);
    source?.close();
  };
}

function parse(text: unknown): unknown {
  try {
    return typeof text === "string" ? (JSON.parse(text || "null") as unknown) : undefined;
  } catch {
    return undefined;
  }
}
