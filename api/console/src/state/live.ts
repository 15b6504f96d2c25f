// The live feed: newest value per tag, latest wins, written once per animation frame. While a past
// moment is shown, the values are those of the moment; alarms and connection are always of now.
import { reactive, shallowReactive, watch } from "vue";
import { api, dataOf, refused, rfc3339 } from "../api";
import type { AlarmRow, Problem } from "../openapi";
import { atMs } from "./address";
import { aged, isSimulated, markOf } from "../values/quality";

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

const STALE_S = 5;
const GIVE_UP_S = 60; // A silent open connection is dead; the browser would wait for ever.
const RETRY_MS = 3_000;

/** The values that are shown, by tag: the newest, or those of the past moment of the address. */
export const live = shallowReactive(new Map<string, LiveValue>());
const newest = new Map<string, LiveValue>();

/** The alarms that are not normal, by id. */
export const alarms = shallowReactive(new Map<string, AlarmRow>());

export const feed = reactive({
  state: "connecting" as FeedState,
  cycleMs: null as number | null,
  ageS: 0,
  simulated: false,
  images: 0,
  old: 0, // values that are late or stale
  count: 0, // values there are
  refusal: null as Refusal | null,
});

/** Time of the newest cycle, so that windows follow the park's clock and not this machine's. */
export const liveMs = (): number => feed.cycleMs ?? Date.now();

/** The moment that is shown: that of the address, else the time of the newest cycle. */
export const nowMs = (): number => atMs.value ?? liveMs();

const pending = new Map<string, LiveValue>();
let replace = false;
let frame = 0;
let heardAt = performance.now();
let source: EventSource | null = null;

function keepOnly(values: Map<string, LiveValue>): void {
  for (const tag of live.keys()) if (!values.has(tag)) live.delete(tag);
}

/** Show the values of a past moment, or the newest again. */
async function replay(ms: number | null): Promise<void> {
  if (ms === null) {
    keepOnly(newest);
    for (const [tag, value] of newest) live.set(tag, value);
    return;
  }
  // Values of now under the time of the past would lie, even for a moment.
  live.clear();
  try {
    const query = { at: rfc3339(ms) };
    const answer = await dataOf(api.GET("/api/v1/latest", { params: { query } }));
    if (atMs.value !== ms) return;
    for (const { tag, time, value, quality, age } of answer.items)
      if (time !== null)
        live.set(tag, { value, time: Date.parse(time), quality: aged(quality, age) });
  } catch {
    setTimeout(() => atMs.value === ms && void replay(ms), RETRY_MS);
  }
}
watch(atMs, (ms) => void replay(ms), { immediate: true });

function flush(): void {
  frame = 0;
  if (replace) newest.clear();
  for (const [tag, value] of pending) newest.set(tag, value);
  if (atMs.value === null) {
    if (replace) keepOnly(pending);
    for (const [tag, value] of pending) live.set(tag, value);
  }
  pending.clear();
  replace = false;
  const values = [...newest.values()];
  feed.count = values.length;
  feed.simulated = values.some((value) => isSimulated(value.quality));
  feed.old = values.filter((value) => markOf(value.quality) === "stale").length;
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
    if (answer.status === 401) refused.value += 1;
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
