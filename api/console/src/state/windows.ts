// The period of the page, cut into windows that can be read as bars.
import { rfc3339 } from "../api";
import { periodAt } from "./address";
import { nowMs } from "./live";
import { timezone } from "./model";
import { formatTime } from "../values/format";
import { windowOf } from "../values/window";

export const USUAL = "-24h";

/** Begin, end and window of the period in the address, as a question takes them. */
export function askedPeriod(): { from: string; to: string; window: ReturnType<typeof windowOf> } {
  const { from, to } = periodAt(nowMs(), USUAL);
  return { from: rfc3339(from), to: rfc3339(to), window: windowOf({ from, to }) };
}

/** The begin of a window as a label below its bar. */
export function labelOf(start: string, window: string): string {
  const text = formatTime(Date.parse(start), timezone.value);
  if (window === "month") return text.slice(0, 7);
  return window === "day" ? text.slice(5, 10) : text.slice(11, 16);
}
