// What-ifs: what can be asked, the answers, and how the console reads them.
import uPlot from "uplot";
import { get, post } from "./api";
import { axisOptions, COLOUR, tickLabels } from "./chart";
import { formatNumber, formatTime, NO_VALUE } from "./format";
import { nameOf, t, type Name, type TextKey } from "./i18n";
import { placeName } from "./meters";
import { isWithin, timezone } from "./model";

type Column = (number | null)[];

export interface Askable {
  scope: string;
  kind: string;
  name: Name | null;
  power_mw: number | null;
  drives: { stream: string; component: string; makes: boolean; flow_t_per_h: number | null }[];
}

export interface Askables {
  items: Askable[];
  limits: { hours: number; steps: number; actions: number; load: number; response_s: number };
}

export interface Deed {
  scope: string;
  load: number;
  start: number;
  stop: number | null;
}

export interface Happening {
  kind: "full" | "empty" | "relief" | "exhausted" | "short" | "cut";
  scope: string;
  component: string | null;
  time: string;
  after_h: number;
  sigma_h: number | null;
}

export interface Stock {
  scope: string;
  component: string;
  medium: string;
  limit_t: number | null;
  headroom_t: Column;
  inventory_t: Column;
  inflow_t_per_h: Column;
  tankers: number[] | null;
  unknown: string[];
}

export interface Variant {
  policy: "vent" | "cut";
  stocks: Stock[];
  relieved: { component: string; flow_t_per_h: Column; total_t: Column }[];
  lost: { component: string; total_t: Column }[];
  absorbers: { id: string; scope: string; left_h: Column }[];
  power_mw: Column;
  power_now_mw: number | null;
  events: Happening[];
}

export interface Scenario {
  scope: string;
  from: string;
  quality: number;
  missing: string[];
  doubtful: string[];
  time: number[];
  variants: Variant[];
  assumptions: { key: string; text: Name }[];
}

export const loadAskables = (): Promise<Askables> => get<Askables>("scenarios");

export const runScenario = (scope: string, hours: number, actions: Deed[]): Promise<Scenario> =>
  post<Scenario>("scenarios", { scope, hours, actions });

const KINDS = ["plant", "unit", "electrolyser"];

/** What an operator can choose inside a scope; `cells` tells where the electrolysers are. */
export const choices = (items: Askable[], scope: string, cells: Map<string, string>): Askable[] =>
  items
    .filter(
      ({ scope: at, kind, drives }) =>
        KINDS.includes(kind) && drives.length > 0 && isWithin(cells.get(at) ?? at, scope),
    )
    .sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));

export const askableName = (item: Askable, scope: string): string =>
  item.name === null ? item.scope : placeName(item.scope, scope) || nameOf(item.name, item.scope);

const last = (column: Column | undefined): number | null => column?.at(-1) ?? null;

export const relievedOf = (
  variant: Variant,
  component: string,
): Variant["relieved"][number] | undefined =>
  variant.relieved.find((row) => row.component === component);

export const stockOf = (variant: Variant, like: Stock | undefined): Stock | undefined =>
  variant.stocks.find((each) => each.scope === like?.scope && each.component === like.component);

export const fullOf = (variant: Variant, stock: Stock | undefined): Happening | undefined =>
  variant.events.find(
    (event) =>
      event.kind === "full" &&
      event.scope === stock?.scope &&
      event.component === stock.component,
  );

/** "9.7 ± 0.1 h", at two standard uncertainties; what is not reached, or not known, is said. */
export function timeToFull(variant: Variant, stock: Stock | undefined): string {
  if (stock === undefined) return NO_VALUE;
  if (stock.unknown.length > 0) return `${NO_VALUE} (${stock.unknown.join(", ")})`;
  const event = fullOf(variant, stock);
  if (event === undefined) return t("notReached");
  const spread = event.sigma_h === null ? "" : ` ± ${formatNumber(2 * event.sigma_h, 1)}`;
  return `${formatNumber(event.after_h, 1)}${spread} h`;
}

interface Line {
  label: TextKey;
  value: (variant: Variant, stock: Stock | undefined) => string;
}

const tonnes = (value: number | null): string =>
  value === null ? NO_VALUE : `${formatNumber(value, 1)} t`;

const shed = (variant: Variant): number | null => {
  const least = variant.power_mw.reduce<number | null>(
    (low, value) => (value === null ? low : Math.min(low ?? value, value)),
    null,
  );
  return least === null || variant.power_now_mw === null ? null : variant.power_now_mw - least;
};

const exhausted = (variant: Variant): string => {
  const event = variant.events.find((each) => each.kind === "exhausted");
  return event === undefined ? t("notReached") : `${formatNumber(event.after_h, 1)} h`;
};

/** The lines of the table of results, one column for each policy. */
export const LINES: Line[] = [
  { label: "timeToFull", value: timeToFull },
  { label: "absorbed", value: (v) => tonnes(last(relievedOf(v, "chlorine")?.total_t) ?? 0) },
  { label: "exhaustedIn", value: exhausted },
  { label: "tankersNeeded", value: (_, s) => formatNumber(s?.tankers?.at(-1) ?? null, 0) },
  {
    label: "powerShed",
    value: (v) => (shed(v) === null ? NO_VALUE : `${formatNumber(shed(v), 1)} MW`),
  },
  {
    label: "causticLost",
    value: (v) => tonnes(last(v.lost.find((row) => row.component === "caustic")?.total_t) ?? 0),
  },
  { label: "hydrogenVented", value: (v) => tonnes(last(relievedOf(v, "hydrogen")?.total_t) ?? 0) },
];

/** Options of a small chart: one line for each policy, and a limit; the marks are moments [s]. */
export function courseOptions(
  width: number,
  height: number,
  labels: string[],
  marks: number[],
): uPlot.Options {
  const strokes = [COLOUR.suspect, COLOUR.line, COLOUR.axis];
  return {
    width,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), timezone.value),
    cursor: { drag: { x: false, y: false } },
    axes: [
      { ...axisOptions(), values: tickLabels, space: 80 },
      { ...axisOptions(), size: 64, values: (_, ticks) => ticks.map((tick) => formatNumber(tick)) },
    ],
    legend: { live: true },
    hooks: {
      draw: [
        (chart) => {
          const { ctx, bbox } = chart;
          ctx.save();
          ctx.strokeStyle = COLOUR.suspect;
          ctx.setLineDash([6, 4]);
          for (const mark of marks) {
            const x = chart.valToPos(mark, "x", true);
            ctx.beginPath();
            ctx.moveTo(x, bbox.top);
            ctx.lineTo(x, bbox.top + bbox.height);
            ctx.stroke();
          }
          ctx.restore();
        },
      ],
    },
    series: [
      {
        label: "t",
        value: (_, seconds) => formatTime(seconds === null ? null : seconds * 1000, timezone.value),
      },
      ...labels.map((label, i) => ({
        label,
        stroke: strokes[i] ?? COLOUR.line,
        width: 1.5,
        ...(i === 2 ? { dash: [8, 5] } : {}),
        points: { show: false },
        value: (_: uPlot, value: number | null) => formatNumber(value),
      })),
    ],
  };
}
