// The HTTP answers the console reads, and one way to fetch them.
import { onScopeDispose, ref, shallowRef, watch, type Ref, type ShallowRef } from "vue";
import type { Name } from "./i18n";

export interface Scope {
  id: string;
  kind: "region" | "park" | "enterprise" | "plant" | "unit";
  name: Name;
  parent: string | null;
}

export interface Stream {
  id: string;
  from: string;
  to: string;
  medium: string;
  mode: string;
  flow: string | null;
}

export interface Park {
  id: string;
  kind: string;
  name: Name;
  timezone: string;
  gap_s: number | null;
  model: { version: number; applied: string };
  scopes: Scope[];
  electrolysers: { id: string; scope: string; kind: string; current: string }[];
  streams: Stream[];
  tanks: {
    id: string;
    scope: string;
    medium: string;
    tag: string | null;
    fill_limit: number | null;
  }[];
  products: { id: string; scope: string; tag: string }[];
}

export interface TagInfo {
  tag: string;
  scope: string;
  quantity: string;
  uom: string;
  kind: string;
  source: string;
  low: number | null;
  high: number | null;
  description: string;
}

export interface History {
  tag: string;
  uom: string;
  resolution: string;
  time: number[];
  value: (number | null)[];
  min: (number | null)[];
  max: (number | null)[];
  quality: number[];
}

interface Row {
  start: string;
  end: string;
  completeness: number | null;
  quality: number;
}

export interface EnergyRow extends Row {
  product: string;
  mass_t: number | null;
  energy_kwh: number | null;
  kwh_per_t: number | null;
  kwh_per_t_ci: number | null;
  kgce_per_t: number | null;
  kgce_per_t_ci: number | null;
}

export interface Reference {
  product: string;
  index: "kgce_per_t" | "kwh_per_t";
  benchmark: number | null;
  baseline: number | null;
  standard: string;
  edition: string;
  confidence: string;
  verified: boolean;
}

export interface ChlorineRow extends Row {
  production_t: number | null;
  consumption_t: number | null;
  import_t: number | null;
  export_t: number | null;
  vent_t: number | null;
  inventory_t: number | null;
  inventory_change_t: number | null;
  unaccounted_t: number | null;
  unaccounted_ci_t: number | null;
  k1: number | null;
  k2: number | null;
}

/** What the tanks can still take; null = not known, or without an end. */
export interface RoomNow {
  headroom_t: number | null;
  headroom_h: number | null;
  minutes_to_full_on_trip: number | null;
  largest_user: string | null;
  spare_tank_ready: boolean | null;
  quality: number;
}

export interface TankState {
  id: string;
  scope: string;
  inventory_t: number | null;
  capacity_t: number | null;
  fill: number | null;
  fill_limit: number | null;
  time: number | string | null;
  quality: number;
}

export interface ByproductRow extends Row {
  medium: string;
  make_t: number | null;
  use_t: number | null;
  import_t: number | null;
  export_t: number | null;
  vent_t: number | null;
  inventory_change_t: number | null;
  unaccounted_t: number | null;
  unaccounted_ci_t: number | null;
}

/** A stream before and after reconciliation; null = not measured, or not to be known. */
export interface ReconciledStream {
  id: string;
  from: string;
  to: string;
  measured_t: number | null;
  measured_sigma_t: number | null;
  estimate_t: number | null;
  sigma_t: number | null;
  detectable_t: number | null;
  fraction: number | null;
  fraction_estimate: number | null;
  fraction_sigma: number | null;
  adjustment: number | null;
  observable: boolean;
  redundant: boolean;
}

export interface BalanceRow extends Row {
  component: string;
  consistent: boolean;
  chi2: number | null;
  chi2_critical: number;
  dof: number;
  reason: string;
  streams: ReconciledStream[];
  suspects: string[][];
}

/** Whom the watch over the balances has named: the first stream shows `bias_t_h` too much, or … */
export interface Detection {
  time: string;
  since: string;
  streams: { id: string; from: string | null; to: string | null }[];
  leaks: string[];
  bias_t_h: number;
  test: number;
  current: boolean;
}

/** A steady tag jumped to its level times a factor between two units of measure. */
export interface UnitError {
  id: number;
  tag: string;
  state: "open" | "ended" | "learnt";
  since: string;
  last: string;
  samples: number;
  factor: number;
  offset: number;
  expected: number;
  value: number | null;
  uom: string;
}

export interface Health {
  items: {
    enterprise: string;
    tags: number;
    fresh: number;
    stale: number;
    never: number;
    completeness: number | null;
    simulated: boolean;
    health: number | null;
  }[];
  gateways: {
    enterprise: string;
    gateway: string;
    last_heard: string;
    skew_s: number | null;
    silent: boolean;
    skewed: boolean;
    runaway: boolean;
  }[];
  unit_errors: UnitError[];
  ingest: Partial<Record<string, number | null>> | null;
}

export interface Alarm {
  id: string;
  tag: string;
  scope: string;
  priority: "critical" | "high" | "medium" | "low";
  state:
    | "normal"
    | "unacknowledged"
    | "acknowledged"
    | "returned"
    | "shelved"
    | "suppressed"
    | "out_of_service";
  since: string;
  active_since: string | null;
  until: string | null;
  by: string | null;
  reason: string | null;
  value: number | null;
  direction: "high" | "low";
  limit: number;
  uom: string;
  quality: number;
  shelvable: boolean;
  name: Name | null;
  cause: Name | null;
  consequence: Name | null;
  response: Name | null;
}

export interface AlarmSummary {
  annunciations: number;
  rate: { last: number; mean: number; acceptable: number; manageable: number };
  flood: { now: boolean; since: string | null; share: number; goal: number };
  top: { id: string; count: number; share: number | null }[];
  chattering: string[];
  stale: string[];
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

export type Energy = Page<EnergyRow> & { references: Reference[] };
export type Chlorine = Page<ChlorineRow> & { tanks: TankState[]; now: RoomNow };

const TIMEOUT_MS = 15_000;
const PERIOD_MS = 30_000;
const RETRY_MS = 5_000;
const GATEWAY_ERRORS = [502, 503, 504];

/** True while the API itself cannot be reached; one refused question does not count. */
export const apiDown = ref(false);

type Query = Record<string, string | number | undefined>;

async function request(path: string, options: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(`/api/v1/${path}`, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...options,
    });
  } catch (error) {
    apiDown.value = true;
    throw error;
  }
  apiDown.value = GATEWAY_ERRORS.includes(answer.status);
  return answer;
}

export async function get<T>(path: string, query: Query = {}): Promise<T> {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(key, String(value));
  }
  const answer = await request(`${path}?${parameters}`);
  if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status}`);
  return (await answer.json()) as T;
}

/** Ask a question that has a body; what the server says against it is the error. */
export async function post<T>(path: string, body: object): Promise<T> {
  const answer = await request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.ok) return (await answer.json()) as T;
  const problem = (await answer.json()) as { detail?: string };
  throw new Error(problem.detail ?? `${path}: HTTP ${answer.status}`);
}

/** Give an order; an empty text when it was accepted, else why it was not. */
export async function order(path: string, body: object): Promise<string> {
  try {
    const answer = await request(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (answer.ok) return "";
    const problem = (await answer.json()) as { detail?: string };
    return problem.detail ?? `HTTP ${answer.status}`;
  } catch (error) {
    return String(error);
  }
}

export const rfc3339 = (ms: number): string => new Date(ms).toISOString();

/** The newest row of `rows` that had ended by `nowMs`: the last full window. */
export const lastFull = <T extends Row>(rows: T[], nowMs: number): T | undefined =>
  rows.filter((row) => Date.parse(row.end) <= nowMs).at(-1);

export interface Polled<T> {
  data: ShallowRef<T | null>;
  failed: Ref<boolean>;
}

/**
 * Ask again every 30 s (sooner while the API is away) and at once when `subject` changes. A failure
 * keeps the last answer and says so; an answer about a former subject is dropped. Nothing is asked while the subject is null.
 */
export function usePoll<T>(
  subject: () => string | null,
  load: (subject: string) => Promise<T>,
): Polled<T> {
  const data: ShallowRef<T | null> = shallowRef(null);
  const failed = ref(false);
  let timer = 0;
  let current = 0;

  async function ask(about: string, turn: number): Promise<void> {
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
      () => void ask(about, turn),
      failed.value && apiDown.value ? RETRY_MS : PERIOD_MS,
    );
  }

  watch(
    subject,
    (about) => {
      current += 1;
      clearTimeout(timer);
      data.value = null;
      if (about !== null) void ask(about, current);
    },
    { immediate: true },
  );
  onScopeDispose(() => {
    current += 1;
    clearTimeout(timer);
  });
  return { data, failed };
}
