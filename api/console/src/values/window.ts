// Windows of answers that fit a period: as many rows as a reader takes in.
import type { Period } from "../state/address";

const HOUR_MS = 3_600_000;
const HOURS_MOST = 50;
const DAYS_MOST = 70;

/** The shortest window that cuts a period into few enough rows. */
export function windowOf({ from, to }: Period): "hour" | "day" | "month" {
  const hours = (to - from) / HOUR_MS;
  return hours <= HOURS_MOST ? "hour" : hours <= 24 * DAYS_MOST ? "day" : "month";
}
