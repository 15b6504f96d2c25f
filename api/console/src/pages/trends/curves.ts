// Histories of several tags on one time axis, and the alarms that belong to them.
import type { AlarmEvent, AlarmRow, HistoryAnswer } from "../../openapi";
import type { LimitLine, Mark, Pen } from "../../parts/chart";
import { LETTER } from "../../state/alarms";
import { formatNumber } from "../../values/format";

export const MOST = 16;

export interface Curve {
  history: HistoryAnswer;
  label: string;
  shiftMs: number; // added to its times
  colour: string;
  dash?: number[];
}

const COLOURS = ["--curve", "--pen-2", "--pen-3", "--pen-4", "--pen-5", "--pen-6"];
const DASHES = [undefined, [8, 4], [2, 3]];

/** Colour and dash of the curve at a place: no two of sixteen are alike. */
export const styleOf = (i: number): { colour: string; dash?: number[] } => ({
  colour: COLOURS[i % COLOURS.length] ?? "--curve",
  dash: DASHES[Math.floor(i / COLOURS.length)],
});

/** All times of all curves, and each curve at its own of them. */
export function joined(curves: Curve[], hasBand: boolean): { time: number[]; pens: Pen[] } {
  const time = [...new Set(curves.flatMap(({ history, shiftMs }) => history.time.map((at) => at + shiftMs)))].sort(
    (a, b) => a - b,
  );
  const at = new Map(time.map((ms, i) => [ms, i]));
  const spread = <Value>(curve: Curve, column: Value[]): (Value | undefined)[] => {
    const values: (Value | undefined)[] = Array.from({ length: time.length });
    curve.history.time.forEach((ms, i) => (values[at.get(ms + curve.shiftMs)!] = column[i]));
    return values;
  };
  const pens = curves.map((curve): Pen => {
    const { history, label, colour, dash } = curve;
    const pen: Pen = { label, uom: history.uom, colour, dash, values: spread(curve, history.value) };
    const isBucketed = hasBand && history.resolution !== "raw";
    return isBucketed ? { ...pen, low: history.min, high: history.max } : pen;
  });
  return { time, pens };
}

export const limitsOf = (alarms: AlarmRow[], tag: string): AlarmRow[] =>
  alarms.filter((alarm) => alarm.tag === tag && alarm.limit !== null);

const signOf = (alarm: AlarmRow): string => (alarm.direction === "high" ? "≥" : "≤");

export const limitText = (alarm: AlarmRow): string => `${signOf(alarm)} ${formatNumber(alarm.limit)}`;

export const linesOf = (alarms: AlarmRow[], curves: Curve[]): LimitLine[] =>
  curves
    .filter(({ shiftMs }) => shiftMs === 0)
    .flatMap(({ history, label }) =>
      limitsOf(alarms, history.tag).map((alarm) => ({
        value: alarm.limit!,
        label: `${label} ${limitText(alarm)}`,
        uom: history.uom,
        isBad: alarm.priority === "critical",
      })),
    );

const PRIORITY_COLOURS: Record<AlarmRow["priority"], string> = {
  critical: "--bad",
  high: "--warn",
  medium: "--medium",
  low: "--low",
};
const BACK = "R"; // back to normal, whoever acknowledged before

export const letterOf = (event: AlarmEvent): string => LETTER[event.after] || BACK;

export const marksOf = (events: AlarmEvent[]): Mark[] =>
  events.map((event) => ({
    time: Date.parse(event.time),
    label: letterOf(event),
    colour: PRIORITY_COLOURS[event.priority ?? "low"],
  }));

export interface Extent {
  mean: number | null;
  least: number | null;
  greatest: number | null;
}

/** Of the points of a history: mean of their values, least and greatest of what they hold. */
export function extentOf({ value, min, max }: HistoryAnswer): Extent {
  const known = value.filter((each) => each !== null);
  const ends = (column: (number | null)[]): number[] => [...column, ...value].filter((each) => each !== null);
  if (known.length === 0) return { mean: null, least: null, greatest: null };
  return {
    mean: known.reduce((sum, each) => sum + each, 0) / known.length,
    least: ends(min).reduce((a, b) => Math.min(a, b)),
    greatest: ends(max).reduce((a, b) => Math.max(a, b)),
  };
}
