// The live feed: newest value per tag, latest wins, written once per animation frame.
import { reactive, shallowReactive } from "vue";
import type { AlarmRow, Problem } from "./openapi";
import { isSimulated } from "./quality";

export interface LiveValue {
  value: number | null;
  quality: number;
  time: number;
}

interface Cycle {
  time: number;
  values: Record<string, [number | null, number, number]>;
  alarms: AlarmRow[];
}

/** Why there is no feed: all connections of this machine, or of everybody, are in use. */
interface Refusal {
  reason: "hostFull" | "liveFull";
  limit: number;
}

type FeedState = "connecting" | "connected" | "reconnecting" | "stale";

const STALE_S = 15;
const GIVE_UP_S = 60; // A silent open connection is dead; the browser would wait for ever.
const RETRY_MS = 3_000;

export const live = shallowReactive(new Map<string, LiveValue>());

/** The alarms that are not normal, by id. */
export const alarms = shallowReactive(new Map<string, AlarmRow>());

export const feed = reactive({
  state: "connecting" as FeedState,
  cycleMs: null as number | null,
  ageS: 0,
  simulated: false,
  images: 0,
  refusal: null as Refusal | null,
});

/** Time of the newest cycle, so that windows follow the park's clock and not this machine's. */
export const nowMs = (): number => feed.cycleMs ?? Date.now();

const pending = new Map<string, LiveValue>();
let replace = false;
let frame = 0;
let heardAt = performance.now();
let source: EventSource | null = null;

function flush(): void {
  frame = 0;
  if (replace) {
    for (const tag of live.keys()) if (!pending.has(tag)) live.delete(tag);
  }
  for (const [tag, value] of pending) live.set(tag, value);
  pending.clear();
  replace = false;
  feed.simulated = [...live.values()].some((value) => isSimulated(value.quality));
}

function take(event: MessageEvent<string>, isImage: boolean): void {
  const cycle = JSON.parse(event.data) as Cycle;
  heardAt = performance.now();
  feed.state = "connected";
  feed.refusal = null;
  feed.ageS = 0;
  feed.cycleMs = cycle.time;
  if (isImage) {
    pending.clear();
    replace = true;
    feed.images += 1;
    alarms.clear();
  }
  for (const alarm of cycle.alarms) {
    if (alarm.state === "normal") alarms.delete(alarm.id);
    else alarms.set(alarm.id, alarm);
  }
  for (const [tag, [value, quality, time]] of Object.entries(cycle.values)) {
    pending.set(tag, { value, quality, time });
  }
  // A hidden page gets no frames: the pending values then merge and stay bounded by the tags.
  frame ||= requestAnimationFrame(flush);
}

function open(): void {
  source?.close();
  source = new EventSource("/api/v1/live");
  source.addEventListener("image", (event) => take(event, true));
  source.addEventListener("cycle", (event) => take(event, false));
}

/** The browser does not say why it was refused: another request does. */
async function askWhy(): Promise<void> {
  const question = new AbortController();
  try {
    const answer = await fetch("/api/v1/live", { signal: question.signal });
    const limit = answer.ok ? undefined : ((await answer.json()) as Problem).limit;
    const reason = answer.status === 429 ? "hostFull" : "liveFull";
    feed.refusal = limit === undefined ? null : { reason, limit };
  } catch {
    feed.refusal = null;
  } finally {
    question.abort();
  }
}

function look(): void {
  feed.ageS = (performance.now() - heardAt) / 1000;
  if (source?.readyState !== EventSource.OPEN) {
    const isRefused = source?.readyState === EventSource.CLOSED || feed.ageS > STALE_S;
    if (feed.state !== "connecting" || isRefused) feed.state = "reconnecting";
  } else if (feed.cycleMs !== null && feed.ageS > STALE_S) {
    feed.state = "stale";
  }
}

/** Connect and stay connected, also where the browser gives up (an HTTP error, a silent line). */
export function connect(): void {
  open();
  setInterval(look, 1000);
  let openedAt = performance.now();
  setInterval(() => {
    const silent = performance.now() - Math.max(heardAt, openedAt) > GIVE_UP_S * 1000;
    if (source?.readyState !== EventSource.CLOSED && !silent) return;
    if (source?.readyState === EventSource.CLOSED) void askWhy();
    openedAt = performance.now();
    open();
  }, RETRY_MS);
}
