// How a trend looks: min-max band, mean line, dots where the quality is not good, park time below.
import uPlot from "uplot";
import { formatNumber, formatTime } from "./format";
import { t } from "./i18n";
import { timezone } from "./model";

export const COLOUR = {
  line: "#dfe5ea",
  band: "rgba(148, 163, 178, 0.28)",
  grid: "#33393f",
  axis: "#949da6",
  suspect: "#e0b04a",
};

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
  stroke: COLOUR.axis,
  grid: { stroke: COLOUR.grid, width: 1 },
  ticks: { stroke: COLOUR.grid, width: 1 },
  font: "13px sans-serif",
});

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
      { ...axis, values: tickLabels, space: 80 },
      { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => formatNumber(tick)) },
    ],
    legend: { live: true, markers: { show: false } },
    bands: [{ series: [2, 1], fill: COLOUR.band }],
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
        stroke: COLOUR.line,
        width: 1.5,
        points: { show: false },
        value: (_, value) => formatNumber(value),
      },
      {
        label: t("suspect"),
        stroke: COLOUR.suspect,
        paths: () => null,
        points: { show: true, size: 6, stroke: COLOUR.suspect },
        value: (_, value) => formatNumber(value),
      },
    ],
  };
}
