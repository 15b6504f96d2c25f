// What usually flows through a tag of the ribbon, so that an unusual flow is seen against it.
import { api, dataOf, listOf, rfc3339 } from "../../api";
import type { HistoryAnswer } from "../../openapi";
import { useAnswer, type Answer } from "../../state/answer";
import { nowMs } from "../../state/live";
import { tags } from "../../state/model";
import { toTonnesPerHour } from "../../values/format";

const HOUR_MS = 3_600_000;
const HOURS = 24;
const AT_ONCE = 16; // tags of one answer

export type UsualFlows = Map<string, number>; // in t/h, by tag

function median(values: number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function usualOf({ tag, value }: HistoryAnswer): [string, number][] {
  const known = value.filter((each) => each !== null);
  const flow = toTonnesPerHour(median(known) ?? null, tags.get(tag)?.uom);
  return flow === null ? [] : [[tag, flow]];
}

/** The median flow of the full day before the hour that is shown. It changes by the hour only. */
export function useUsualFlows(names: () => string[]): Answer<UsualFlows> {
  let known = { key: "", flows: new Map() as UsualFlows };
  return useAnswer(
    () => (names().length > 0 ? names() : null),
    async (wanted, signal) => {
      const to = Math.floor(nowMs() / HOUR_MS) * HOUR_MS;
      const key = `${to} ${wanted.join(" ")}`;
      if (known.key === key) return known.flows;
      const flows: UsualFlows = new Map();
      const period = { from: rfc3339(to - HOURS * HOUR_MS), to: rfc3339(to), points: HOURS };
      for (let i = 0; i < wanted.length; i += AT_ONCE) {
        const query = { ...period, tag: wanted.slice(i, i + AT_ONCE) };
        const answer = await dataOf(api.GET("/api/v1/history", { params: { query }, signal }));
        for (const [tag, flow] of listOf(answer as HistoryAnswer).flatMap(usualOf)) flows.set(tag, flow);
      }
      known = { key, flows };
      return flows;
    },
  );
}
