// What-ifs: the plants a scenario can change, the answers, and their table and charts.
import uPlot from "uplot";
import { api, dataOf } from "../../api";
import { axisOptions, sized, tickLabels } from "../../parts/chart";
import { colour } from "../../state/theme";
import { formatNumber, formatTime, NO_VALUE } from "../../values/format";
import { nameOf, t, type TextKey } from "../../state/i18n";
import { placeName } from "./meters";
import { isWithin, timezone } from "../../state/model";
import type {
  PolicyCourse,
  ScenarioAnswer,
  ScenarioBody,
  ScenarioEvent,
  ScenarioTarget,
  ScenarioTargets,
  StockCourse,
} from "../../openapi";

type Column = (number | null)[];

export const loadTargets = (): Promise<ScenarioTargets> => dataOf(api.GET("/api/v1/scenarios"));

export const runScenario = (body: ScenarioBody): Promise<ScenarioAnswer> =>
  dataOf(api.POST("/api/v1/scenarios", { body }));

const KINDS = ["plant", "unit", "electrolyser"];

/** The targets inside a scope; `cells` has the scope of each electrolyser. */
export const choices = (items: ScenarioTarget[], scope: string, cells: Map<string, string>): ScenarioTarget[] =>
  items
    .filter(
      ({ scope: at, kind, drives }) =>
        KINDS.includes(kind) && drives.length > 0 && isWithin(cells.get(at) ?? at, scope),
    )
    .sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));

export const targetName = (item: ScenarioTarget, scope: string): string =>
  item.name === null ? item.scope : placeName(item.scope, scope) || nameOf(item.name, item.scope);

const last = (column: Column | undefined): number | null => column?.at(-1) ?? null;

export const relievedOf = (
  variant: PolicyCourse,
  component: string,
): PolicyCourse["relieved"][number] | undefined =>
  variant.relieved.find((row) => row.component === component);

export const stockOf = (variant: PolicyCourse, like: StockCourse | undefined): StockCourse | undefined =>
  variant.stocks.find((each) => each.scope === like?.scope && each.component === like.component);

export const fullOf = (variant: PolicyCourse, stock: StockCourse | undefined): ScenarioEvent | undefined =>
  variant.events.find(
    (event) =>
      event.kind === "full" &&
      event.scope === stock?.scope &&
      event.component === stock.component,
  );

/** "9.7 ± 0.1 h", at two standard uncertainties; what is not reached, or not known, is said. */
export function timeToFull(variant: PolicyCourse, stock: StockCourse | undefined): string {
  if (stock === undefined) return NO_VALUE;
  if (stock.unknown.length > 0) return `${NO_VALUE} (${stock.unknown.join(", ")})`;
  const event = fullOf(variant, stock);
  if (event === undefined) return t("notReached");
  const spread = event.sigma_h === null ? "" : ` ± ${formatNumber(2 * event.sigma_h, 1)}`;
  return `${formatNumber(event.after_h, 1)}${spread} h`;
}

interface Line {
  label: TextKey;
  value: (variant: PolicyCourse, stock: StockCourse | undefined) => string;
}

const tonnes = (value: number | null): string =>
  value === null ? NO_VALUE : `${formatNumber(value, 1)} t`;

const shed = (variant: PolicyCourse): number | null => {
  const least = variant.power_mw.reduce<number | null>(
    (low, value) => (value === null ? low : Math.min(low ?? value, value)),
    null,
  );
  return least === null || variant.power_now_mw === null ? null : variant.power_now_mw - least;
};

const exhausted = (variant: PolicyCourse): string => {
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
  const strokes = [colour("--warn"), colour("--curve"), colour("--dim")];
  return {
    width,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), timezone.value),
    cursor: { drag: { x: false, y: false } },
    axes: [
      { ...axisOptions(), values: tickLabels, space: sized(80) },
      { ...axisOptions(), size: sized(64), values: (_, ticks) => ticks.map((tick) => formatNumber(tick)) },
    ],
    legend: { live: true },
    hooks: {
      draw: [
        (chart) => {
          const { ctx, bbox } = chart;
          ctx.save();
          ctx.strokeStyle = colour("--warn");
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
        stroke: strokes[i] ?? colour("--curve"),
        width: 1.5,
        ...(i === 2 ? { dash: [8, 5] } : {}),
        points: { show: false },
        value: (_: uPlot, value: number | null) => formatNumber(value),
      })),
    ],
  };
}
