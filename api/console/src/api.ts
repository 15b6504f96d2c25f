// Calls of the HTTP interface, typed by its OpenAPI document, and one way to poll them.
import createClient from "openapi-fetch";
import { onScopeDispose, ref, shallowRef, watch, type Ref, type ShallowRef } from "vue";
import type { paths, Problem } from "./openapi";

const TIMEOUT_MS = 15_000;
const PERIOD_MS = 30_000;
const RETRY_MS = 5_000;
const GATEWAY_ERRORS = [502, 503, 504];

/** True while the API itself cannot be reached; one refused call does not count. */
export const apiDown = ref(false);

async function request(call: Request): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(call, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    apiDown.value = true;
    throw error;
  }
  apiDown.value = GATEWAY_ERRORS.includes(answer.status);
  return answer;
}

export const api = createClient<paths, "application/json" | "application/problem+json">({
  fetch: request,
  // Paths of scopes and ids of alarms keep their slashes.
  pathSerializer: (path, parameters) =>
    path.replace(/\{(\w+)\}/g, (_, name: string) =>
      encodeURI(String(parameters[name])).replace(/[?#]/g, encodeURIComponent),
    ),
});

/** The data of an answer; a failure is thrown as the sentence of its problem. */
export async function dataOf<T>(call: Promise<{ data?: T; error?: Problem }>): Promise<T> {
  const { data, error } = await call;
  if (data === undefined) throw new Error(error?.detail);
  return data;
}

/** An empty text when a command was accepted, else the reason of its refusal. */
export async function refusalOf(call: Promise<{ error?: Problem }>): Promise<string> {
  try {
    return (await call).error?.detail ?? "";
  } catch (error) {
    return String(error);
  }
}

export const rfc3339 = (ms: number): string => new Date(ms).toISOString();

/** The newest row of `rows` that had ended by `nowMs`: the last full window. */
export const lastFull = <T extends { end: string }>(rows: T[], nowMs: number): T | undefined =>
  rows.filter((row) => Date.parse(row.end) <= nowMs).at(-1);

export interface Polled<T> {
  data: ShallowRef<T | null>;
  failed: Ref<boolean>;
}

/**
 * Load every 30 s (sooner while the API is away or nothing has come yet) and at once when `subject`
 * changes. A failure keeps the last answer and says so; an answer about a former subject is dropped.
 * A null subject loads nothing.
 */
export function usePoll<T>(
  subject: () => string | null,
  load: (subject: string) => Promise<T>,
): Polled<T> {
  const data: ShallowRef<T | null> = shallowRef(null);
  const failed = ref(false);
  let timer = 0;
  let current = 0;

  async function poll(about: string, turn: number): Promise<void> {
    try {
      const answer = await load(about);
      if (turn !== current) return;
      data.value = answer;
      failed.value = false;
    } catch {
      if (turn !== current) return;
      failed.value = true;
    }
    timer = window.setTimeout(
      () => void poll(about, turn),
      failed.value && (apiDown.value || data.value === null) ? RETRY_MS : PERIOD_MS,
    );
  }

  watch(
    subject,
    (about) => {
      current += 1;
      clearTimeout(timer);
      data.value = null;
      if (about !== null) void poll(about, current);
    },
    { immediate: true },
  );
  onScopeDispose(() => {
    current += 1;
    clearTimeout(timer);
  });
  return { data, failed };
}
