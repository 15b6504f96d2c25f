// Quality of a sample: severity in the top two bits, the simulated flag in bit 5, a reason below.

export type Mark = "none" | "uncertain" | "bad" | "stale";

const SIMULATED = 32;
const REASON = 31;
const UNCERTAIN = 64;
const BAD = 128;
const STALE = 2;
const LATE = 18;

/** Uncertain because a part of the sum is missing. */
export const INCOMPLETE = 64 | 9;

const REASONS = [
  "none",
  "out_of_range",
  "stale",
  "substituted",
  "not_connected",
  "not_a_number",
  "fault",
  "maintenance",
  "calibration",
  "incomplete",
  "manual",
  "reset",
  "out_of_service",
  "rate_of_change",
  "stuck",
  "unit_error",
  "clock_skew",
  "inconsistent",
  "late",
  "none",
  "none",
  "none",
  "none",
  "none",
  "spread",
  "false_reading",
  "replaced",
] as const;

export type Reason = (typeof REASONS)[number];

export const isSimulated = (quality: number): boolean => (quality & SIMULATED) !== 0;

export const isBad = (quality: number): boolean => quality >= 128;

/** A stored quality with what the age of its sample makes of it. */
export const aged = (quality: number, age: "current" | "late" | "stale"): number =>
  age === "current" || isBad(quality)
    ? quality
    : (quality & SIMULATED) | (age === "stale" ? BAD | STALE : UNCERTAIN | LATE);

/** The glyph a value carries: staleness wins, because an old value says nothing about now. */
export function markOf(quality: number): Mark {
  if ([STALE, LATE].includes(quality & REASON)) return "stale";
  if (quality >= 128) return "bad";
  return quality >= 64 ? "uncertain" : "none";
}

export const reasonOf = (quality: number): Reason => REASONS[quality & REASON] ?? "none";

/** The worse of two qualities; the simulated flag of either stays. */
export function worse(first: number, second: number): number {
  return Math.max(first & ~SIMULATED, second & ~SIMULATED) | ((first | second) & SIMULATED);
}
