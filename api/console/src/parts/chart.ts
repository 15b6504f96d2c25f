// How curves over time look: park time below, colours of the theme.
import uPlot from "uplot";
import type { Period } from "../state/address";
import { formatNumber, formatTime, formatUom } from "../values/format";
import { t } from "../state/i18n";
import { timezone } from "../state/model";
import { colour } from "../state/theme";
import { p } from "./words";

/** Tick labels in park time: dates where ticks are a day apart, seconds where they are close. */
export function tickLabels(_: uPlot, ticks: number[], __: number, ___: number, step: number): string[] {
  const form = step >= 86400 ? "date" : step < 60 ? "clock" : "minute";
  return ticks.map((tick) => formatTime(tick * 1000, timezone.value, form));
}

/** Let a flat line lie in the middle instead of filling the plot with its noise. */
function valueRange(_: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  const margin = Math.max((high - low) * 0.1, Math.abs(high) * 0.005, 1e-6);
  return [low - margin, high + margin];
}

/** How every axis looks. */
export const axisOptions = (): uPlot.Axis => ({
  stroke: colour("--dim"),
  grid: { stroke: colour("--line"), width: 1 },
  ticks: { stroke: colour("--line"), width: 1 },
  font: `${sized(13)}px sans-serif`,
});

/** Lengths of a drawing follow the size of the letters, as on a wall. */
export const sized = (px: number): number =>
  (px / 16) * parseFloat(getComputedStyle(document.documentElement).fontSize);

/** Options for the columns time, min, max, value, suspect. */
export function chartOptions(width: number, height: number): uPlot.Options {
  const axis = axisOptions();
  return {
    width,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), timezone.value),
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: valueRange } },
    axes: [
      { ...axis, values: tickLabels, space: sized(80) },
      { ...axis, size: sized(64), values: (_, ticks) => ticks.map((tick) => formatNumber(tick)) },
    ],
    legend: { live: true, markers: { show: false } },
    bands: [{ series: [2, 1], fill: colour("--band") }],
    series: [
      {
        label: "t",
        value: (_, seconds) => formatTime(seconds === null ? null : seconds * 1000, timezone.value),
      },
      {
        label: t("min"),
        stroke: "transparent",
        points: { show: false },
        value: (_, value) => formatNumber(value),
      },
      {
        label: t("max"),
        stroke: "transparent",
        points: { show: false },
        value: (_, value) => formatNumber(value),
      },
      {
        label: t("mean"),
        stroke: colour("--curve"),
        width: 1.5,
        points: { show: false },
        value: (_, value) => formatNumber(value),
      },
      {
        label: t("suspect"),
        stroke: colour("--warn"),
        paths: () => null,
        points: { show: true, size: 6, stroke: colour("--warn") },
        value: (_, value) => formatNumber(value),
      },
    ],
  };
}

export interface Pen {
  label: string;
  values: (number | null | undefined)[]; // null is a gap, undefined a time of another pen only
  uom?: string; // pens of one uom share an axis
  low?: (number | null)[]; // with `high`: a band around the curve
  high?: (number | null)[];
  colour?: string; // a variable of style.css, such as `--pen-2`
  dash?: number[];
  dots?: boolean; // single points instead of a line
  isStep?: boolean; // it holds until its next value
}

export interface LimitLine {
  value: number;
  label: string;
  uom?: string; // of the pens it belongs to
  isBad?: boolean;
}

/** A moment to mark, such as that of an alarm. */
export interface Mark {
  time: number; // epoch ms
  label: string;
  colour: string; // a variable of style.css
}

export interface ChartForm {
  width: number;
  height: number;
  sync?: string;
  zoom: (period: Period) => void;
}

const PENS = ["--curve", "--pen-2", "--pen-3", "--pen-4", "--pen-5", "--pen-6"];
const NO_UOM = "y";

/** Decimals that tell ticks a step apart. */
const decimalsOfStep = (step: number): number => Math.max(0, -Math.floor(Math.log10(step) + 1e-9));

/** The columns of a chart: time, then of each pen its curve and, where it has a band, high and low. */
export const columnsOf = (timeMs: number[], pens: Pen[]): uPlot.AlignedData => [
  timeMs.map((ms) => ms / 1000),
  ...pens.flatMap((pen) => (pen.low && pen.high ? [pen.values, pen.high, pen.low] : [pen.values])),
];

function limits(chart: uPlot, lines: LimitLine[]): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.textAlign = "left";
  ctx.textBaseline = "bottom";
  ctx.font = `${sized(12) * devicePixelRatio}px sans-serif`;
  for (const line of lines) {
    const y = chart.valToPos(line.value, line.uom ?? NO_UOM, true);
    if (!(y >= bbox.top && y <= bbox.top + bbox.height)) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(line.isBad === true ? "--bad" : "--text");
    ctx.setLineDash([8, 5]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.fillText(line.label, bbox.left + 6, y - 4);
  }
  ctx.restore();
}

function moments(chart: uPlot, marks: Mark[]): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.textAlign = "center";
  ctx.font = `${sized(12) * devicePixelRatio}px sans-serif`;
  for (const mark of marks) {
    const x = chart.valToPos(mark.time / 1000, "x", true);
    if (!(x >= bbox.left && x <= bbox.left + bbox.width)) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(mark.colour);
    ctx.setLineDash([3, 4]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillText(mark.label, x, bbox.top + sized(12) * devicePixelRatio);
  }
  ctx.restore();
}

/** Options of uPlot for pens with their axes, bands and limit lines. */
export function chartOf(pens: Pen[], lines: LimitLine[], marks: Mark[], form: ChartForm): uPlot.Options {
  const axis = axisOptions();
  const uoms = [...new Set(pens.map((pen) => pen.uom ?? NO_UOM))];
  const series: uPlot.Series[] = [
    { label: p("period_"), value: (_, s) => formatTime(s === null ? null : s * 1000, timezone.value) },
  ];
  const bands: uPlot.Band[] = [];
  pens.forEach((pen, i) => {
    const stroke = colour(pen.colour ?? PENS[i % PENS.length] ?? "--curve");
    const scale = pen.uom ?? NO_UOM;
    series.push({
      label: pen.label,
      scale,
      stroke,
      width: 1.5,
      dash: pen.dash,
      paths: pen.dots ? () => null : pen.isStep ? uPlot.paths.stepped?.({ align: 1 }) : undefined,
      points: pen.dots ? { show: true, size: 6, stroke } : { show: false },
      value: (_, value) => formatNumber(value),
    });
    if (!pen.low || !pen.high) return;
    const edge = { scale, stroke: "transparent", points: { show: false }, class: "edge" };
    series.push({ ...edge, label: t("max"), value: (_, v) => formatNumber(v) });
    series.push({ ...edge, label: t("min"), value: (_, v) => formatNumber(v) });
    bands.push({ series: [series.length - 2, series.length - 1], fill: colour("--band") });
  });
  const range: uPlot.Range.Function = (chart, low, high, scale) => {
    const own = lines.filter((line) => (line.uom ?? NO_UOM) === scale).map((line) => line.value);
    // A limit far away says its number in the head; near ones are drawn.
    const span = low === null || high === null ? 0 : Math.max(high - low, Math.abs(high) * 0.05);
    const near = own.filter((value) => value >= low - 2 * span && value <= high + 2 * span);
    return valueRange(chart, Math.min(low, ...near), Math.max(high, ...near));
  };
  return {
    width: form.width,
    height: form.height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), timezone.value),
    cursor: {
      drag: { x: true, y: false, setScale: false },
      ...(form.sync === undefined ? {} : { sync: { key: form.sync } }),
    },
    select: { show: true, left: 0, top: 0, width: 0, height: 0 },
    scales: Object.fromEntries(uoms.map((uom) => [uom, { range }])),
    axes: [
      { ...axis, values: tickLabels, space: sized(80) },
      ...uoms.map((uom, i) => ({
        ...axis,
        scale: uom,
        side: i === 0 ? 3 : 1,
        size: sized(64),
        grid: { show: i === 0, stroke: colour("--line"), width: 1 },
        label: uoms.length > 1 && uom !== NO_UOM ? formatUom(uom) : undefined,
        labelSize: sized(18),
        labelFont: `${sized(13)}px sans-serif`,
        values: (_: uPlot, ticks: number[], __: number, ___: number, step: number) =>
          ticks.map((tick) => formatNumber(tick, decimalsOfStep(step))),
      })),
    ] as uPlot.Axis[],
    legend: { live: true },
    bands,
    series,
    hooks: {
      draw: [(chart) => limits(chart, lines), (chart) => moments(chart, marks)],
      setSelect: [
        (chart) => {
          const { left, width } = chart.select;
          if (width < 6) return;
          const [from, to] = [left, left + width].map((x) => chart.posToVal(x, "x") * 1000);
          chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          form.zoom({ from: from!, to: to! });
        },
      ],
    },
  };
}
