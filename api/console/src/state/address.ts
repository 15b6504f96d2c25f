// What the address of the page says: scope, tag, moment and period. Whoever shows or chooses one of
// them comes here, so that every view can be bookmarked, shared and gone back from.
import { computed, type ComputedRef } from "vue";
import type { LocationQueryRaw, RouteLocationRaw } from "vue-router";
import { router } from "../router";

const HOUR_MS = 3_600_000;
const SPAN_MS = { min: 60_000, h: HOUR_MS, d: 24 * HOUR_MS };
const SPAN = /^-(\d{1,5})(min|h|d)$/;
/** What goes along from page to page. */
const CARRIED = ["scope", "at", "from", "to"];

/** One parameter of the address; null when it is not there. */
export function parameter(name: string): string | null {
  const text = router.currentRoute.value.query[name];
  return typeof text === "string" && text !== "" ? text : null;
}

/** All values of a parameter that may come several times, such as `tag`. */
export function parameters(name: string): string[] {
  const values = router.currentRoute.value.query[name];
  return [values].flat().filter((text): text is string => typeof text === "string" && text !== "");
}

type Change = Record<string, string | string[] | null>;
let wanted: LocationQueryRaw | null = null;

/** Change parameters of the address; null removes one. Changes of one moment are one step back. */
export function choose(change: Change): void {
  const isFirst = wanted === null;
  wanted = { ...(wanted ?? router.currentRoute.value.query) };
  for (const [name, text] of Object.entries(change)) wanted[name] = text ?? undefined;
  if (!isFirst) return;
  queueMicrotask(() => {
    const query = wanted ?? {};
    wanted = null;
    void router.push({ query });
  });
}

/** The address of another page, for the same scope, moment and period. */
export function pageLink(page: string, query: LocationQueryRaw = {}): RouteLocationRaw {
  const carried = Object.fromEntries(CARRIED.map((name) => [name, parameter(name) ?? undefined]));
  return { name: page, query: { ...carried, ...query } };
}

const msOf = (text: string | null): number | null => {
  const ms = Date.parse(text ?? "");
  return Number.isFinite(ms) ? ms : null;
};

/** The moment in the past that all pages show [epoch ms]; null while they show the live state. */
export const atMs: ComputedRef<number | null> = computed(() => msOf(parameter("at")));

/** The moment as a parameter of a question that is otherwise about now. */
export const moment = (): { at?: string } => (atMs.value === null ? {} : { at: textOf(atMs.value) });

export interface Period {
  from: number; // epoch ms
  to: number;
}

const textOf = (ms: number): string => new Date(ms).toISOString();

/** Show a past moment [epoch ms], or the live state again (null). */
export const showMoment = (ms: number | null): void =>
  choose({ at: ms === null ? null : textOf(ms) });

/** Show a period that ends at the moment shown, such as `-8h` or `-7d`. */
export const showLast = (span: string): void => choose({ from: span, to: null });

/** Show a period between two times [epoch ms]. */
export const showPeriod = (period: Period): void =>
  choose({ from: textOf(period.from), to: textOf(period.to) });

/** The span of the address, such as `-8h`; null where the period has a fixed begin. */
export const spanOf = (usual: string): string | null => {
  const from = parameter("from") ?? usual;
  return SPAN.test(from) ? from : null;
};

/** The period of the address; `usual` is the span of a page whose address names none. */
export function periodAt(nowMs: number, usual: string): Period {
  const to = msOf(parameter("to")) ?? nowMs;
  const from = msOf(parameter("from"));
  if (from !== null && from < to) return { from, to };
  const [, count, unit] = SPAN.exec(parameter("from") ?? "") ?? SPAN.exec(usual) ?? [];
  return { from: to - Number(count) * SPAN_MS[unit as keyof typeof SPAN_MS], to };
}

/** Changes whenever another moment or period is chosen: what was loaded for the former is old. */
export const timeKey = computed(() =>
  ["at", "from", "to"].map((name) => parameter(name) ?? "").join(" "),
);
