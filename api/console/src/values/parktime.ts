// Times of the park as text, and texts as times: the console may stand in another zone.
import { formatTime } from "./format";

const MINUTE_MS = 60_000;

/** Epoch ms as a field of a form takes them: `2026-03-01T08:15`, on the clock of the park. */
export const toLocal = (ms: number, timezone: string): string =>
  formatTime(ms, timezone).replace(" ", "T").slice(0, 16);

/** Epoch ms of a time on the clock of the park; null for no time. Of an hour that comes twice, the first. */
export function fromLocal(text: string, timezone: string): number | null {
  const asUtc = Date.parse(`${text.slice(0, 16)}Z`);
  if (Number.isNaN(asUtc)) return null;
  // The offset of the zone, at a guess and then at the time itself.
  const offset = (ms: number): number => Date.parse(`${toLocal(ms, timezone)}Z`) - ms;
  const guess = asUtc - offset(asUtc - (asUtc % MINUTE_MS));
  return asUtc - offset(guess);
}
