// Numbers, units of measure and times as an operator reads them.
import { lang, t } from "../state/i18n";

export const NO_VALUE = "—";
const MINUS = "\u2212"; // as wide as a figure; a hyphen is not

/** Decimals fall as magnitude grows, so a figure keeps its width while it moves. */
export function decimalsOf(size: number): number {
  if (size >= 1000) return 0;
  if (size >= 100) return 1;
  if (size >= 0.1 || size === 0) return 2;
  return size >= 0.01 ? 3 : 4;
}

const numberFormats = new Map<string, Intl.NumberFormat>();

export function formatNumber(value: number | null | undefined, decimals?: number): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NO_VALUE;
  const digits = decimals ?? decimalsOf(Math.abs(value));
  const key = `${lang.value}${digits}`;
  let format = numberFormats.get(key);
  if (format === undefined) {
    format = new Intl.NumberFormat(lang.value === "zh" ? "zh-CN" : "en-GB", {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      signDisplay: "negative",
    });
    numberFormats.set(key, format);
  }
  return format.format(value).replace("-", MINUS);
}

export const formatPercent = (share: number | null | undefined, decimals = 0): string =>
  share === null || share === undefined ? NO_VALUE : `${formatNumber(share * 100, decimals)} %`;

const UOM_TEXT: Record<string, string> = {
  percent: "%",
  degC: "°C",
  degF: "°F",
  delta_degC: "K",
  dimensionless: "",
  hour: "h",
  day: "d",
};
const SUPERSCRIPT: Record<string, string> = { "2": "²", "3": "³" };

/** A pint unit of measure as print: `m^3/h` as m³/h, `degC` as °C. */
export const formatUom = (uom: string): string =>
  UOM_TEXT[uom] ??
  uom
    .replace(/(?:\*\*|\^)([23])/g, (_, power: string) => SUPERSCRIPT[power] ?? "")
    .replace(/\s*\*\s*/g, "·");

const TONNES_PER_HOUR: Record<string, number> = {
  "t/h": 1,
  "t/hour": 1,
  "t/d": 1 / 24,
  "t/day": 1 / 24,
  "kg/h": 1e-3,
  "kg/hour": 1e-3,
  "kg/min": 0.06,
  "kg/s": 3.6,
};

/** A mass flow in t/h, or null where `uom` is not a mass flow. */
export function toTonnesPerHour(value: number | null, uom: string | undefined): number | null {
  const factor = uom === undefined ? undefined : TONNES_PER_HOUR[uom.replace(/\s/g, "")];
  return value === null || factor === undefined ? null : value * factor;
}

const timeFormats = new Map<string, Intl.DateTimeFormat>();

/** Park-local time in parts that do not depend on the language: `2026-03-01 08:15:00`. */
export function formatTime(
  ms: number | null,
  timezone: string,
  form: "full" | "clock" | "minute" | "date" = "full",
): string {
  if (ms === null) return NO_VALUE;
  let format = timeFormats.get(timezone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("sv-SE", {
      timeZone: timezone,
      dateStyle: "short",
      timeStyle: "medium",
    });
    timeFormats.set(timezone, format);
  }
  const text = format.format(ms);
  if (form === "full") return text;
  if (form === "date") return text.slice(5, 10);
  return form === "clock" ? text.slice(11) : text.slice(11, 16);
}

const HOUR_MIN = 60;
const DAY_MIN = 1440;

/** A duration in minutes as value, uom and decimals that can be read at a glance: 532 min is 8.9 h. */
export function inTime(minutes: number | null): { value: number | null; uom: string; decimals: number } {
  if (minutes === null || minutes < 2 * HOUR_MIN) return { value: minutes, uom: "min", decimals: 0 };
  if (minutes < 3 * DAY_MIN) return { value: minutes / HOUR_MIN, uom: "h", decimals: 1 };
  const days = minutes / DAY_MIN;
  return { value: days, uom: "d", decimals: days < 100 ? 1 : 0 };
}

const MONTH_MIN = 30 * DAY_MIN;

/** A duration in minutes as text; beyond a month its figure says nothing. */
export function formatDuration(minutes: number): string {
  if (minutes > MONTH_MIN) return t("overAMonth");
  const { value, uom, decimals } = inTime(minutes);
  return `${formatNumber(value, decimals)} ${uom}`;
}

/** An age in the largest unit that still says something. */
export function formatAge(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
}
