// Calls of the HTTP interface, typed by its OpenAPI document.
import createClient from "openapi-fetch";
import { ref } from "vue";
import { t } from "./state/i18n";
import type { HistoryAnswer, HistoryList, paths, Problem } from "./openapi";

const TIMEOUT_MS = 15_000;
const REPORT_MS = 180_000; // A report asks a hundred questions.
const AGAIN_MS = 1_000;
// Of a way in, or a token, two are two.
const DOORS = /^\/api\/v1\/(login|logout|password|tokens|accounts)\b/;
const REPORTS = "/api/v1/reports/";
const GATEWAY_ERRORS = [502, 503, 504];

/** True while the API itself cannot be reached; one refused call does not count. */
export const apiDown = ref(false);

/** Counts answers that ask for somebody to come in. */
export const refused = ref(0);

/** A text that no other order has; `crypto.randomUUID` is for https only. */
const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16)).join("-");

/** Send a request; an order whose answer got lost is sent once more, and done once by its key. */
async function send(call: Request, patience: number): Promise<Response> {
  const signal = (): AbortSignal => AbortSignal.any([call.signal, AbortSignal.timeout(patience)]);
  if (call.method === "GET" || DOORS.test(new URL(call.url).pathname)) {
    return fetch(call, { signal: signal() });
  }
  call.headers.set("Idempotency-Key", newKey());
  const again = call.clone();
  try {
    return await fetch(call, { signal: signal() });
  } catch (error) {
    if (call.signal.aborted) throw error;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    return fetch(again, { signal: signal() });
  }
}

async function request(call: Request): Promise<Response> {
  const patience = call.url.includes(REPORTS) ? REPORT_MS : TIMEOUT_MS;
  let answer: Response;
  try {
    answer = await send(call, patience);
  } catch (error) {
    // A question that is given up says nothing about the API.
    if (!call.signal.aborted) apiDown.value = true;
    throw error;
  }
  apiDown.value = GATEWAY_ERRORS.includes(answer.status);
  if (answer.status === 401) refused.value += 1;
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

/** What an account may not know: to ask again would not help. */
export class Withheld extends Error {}

const FORBIDDEN = 403;

/** The data of an answer; a failure is thrown as the sentence of its problem. */
export async function dataOf<T>(call: Promise<{ data?: T; error?: Problem }>): Promise<T> {
  const { data, error } = await call;
  if (data !== undefined) return data;
  if (error?.status === FORBIDDEN) throw new Withheld(t("withheldFromYou"));
  throw new Error(error?.detail);
}

/**
 * The data of an answer with its address: `${address}#/items/0/value` names a figure of it, which
 * Figure.vue and the explanation take.
 */
export async function answerOf<T>(
  call: Promise<{ data?: T; error?: Problem; response: Response }>,
): Promise<{ data: T; address: string }> {
  const { pathname, search } = new URL((await call).response.url);
  return { data: await dataOf(call), address: pathname + search };
}

/** An empty text when a command was accepted, else the reason of its refusal. */
export async function refusalOf(call: Promise<{ error?: Problem }>): Promise<string> {
  try {
    return orderProblem((await call).error);
  } catch (error) {
    return String(error);
  }
}

/** Why an order was refused; that of an account without the right in the language of the reader. */
const orderProblem = (error: Problem | undefined): string =>
  error?.status === FORBIDDEN ? t("notYourOrder") : (error?.detail ?? "");

const OUTCOME_MS = 500;
const OUTCOME_TIMES = 20;

/**
 * An empty text when ingest has carried a command out, else why it was refused or has failed. One that
 * still waits after ten seconds is accepted: it will be carried out later.
 */
export async function outcomeOf(
  call: Promise<{ data?: { command: number }; error?: Problem }>,
): Promise<string> {
  try {
    const { data, error } = await call;
    if (data === undefined) return orderProblem(error);
    const params = { path: { command: data.command } };
    for (let times = 0; times < OUTCOME_TIMES; times += 1) {
      const { data: order } = await api.GET("/api/v1/commands/{command}", { params });
      if (order?.done) return order.error ?? "";
      await new Promise((resolve) => setTimeout(resolve, OUTCOME_MS));
    }
    return "";
  } catch (error) {
    return String(error);
  }
}

/** The history of one tag between two times [epoch ms] in at most `points` points. */
export async function historyOf(
  tag: string,
  period: { from: number; to: number },
  points: number,
  signal: AbortSignal,
): Promise<HistoryAnswer> {
  const query = { tag: [tag], from: rfc3339(period.from), to: rfc3339(period.to), points };
  const answer = await dataOf(api.GET("/api/v1/history", { params: { query }, signal }));
  return answer as HistoryAnswer; // Of one tag it is no list.
}

/** One history for each tag, whether one or several were asked for. */
export const listOf = (answer: HistoryAnswer | HistoryList): HistoryAnswer[] =>
  "items" in answer ? answer.items : [answer];

export const rfc3339 = (ms: number): string => new Date(ms).toISOString();

/** The newest row of `rows` that had ended by `nowMs`: the last full window. */
export const lastFull = <T extends { end: string }>(rows: T[], nowMs: number): T | undefined =>
  rows.filter((row) => Date.parse(row.end) <= nowMs).at(-1);
