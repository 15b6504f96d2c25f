// Alarms as an operator works through them: their order, their signs, the commands.
import { computed, ref, watch } from "vue";
import { api, refusalOf } from "../api";
import { formatNumber, formatUom } from "../values/format";
import { nameOf, t } from "./i18n";
import { keep, kept } from "./kept";
import type { AlarmRow } from "../openapi";

export const PRIORITIES = ["critical", "high", "medium", "low"] as const;

/** Shape and letter carry the priority as well as its colour; one colour is one priority. */
export const SHAPE: Record<AlarmRow["priority"], string> = {
  critical: "◆",
  high: "▲",
  medium: "●",
  low: "■",
};
export const LETTER: Record<AlarmRow["state"], string> = {
  normal: "",
  unacknowledged: "U",
  acknowledged: "A",
  returned: "R",
  shelved: "S",
  suppressed: "D",
  out_of_service: "O",
};

export const titleOf = (alarm: AlarmRow): string =>
  alarm.name ? nameOf(alarm.name, alarm.id) : alarm.id;

/** Priority and state in words. */
export const inWords = (alarm: AlarmRow): string =>
  `${priorityName(alarm.priority)} · ${t(alarm.state)}`;
export const priorityName = (priority: AlarmRow["priority"]): string =>
  t(priority === "medium" ? "middle" : priority);

const HIDDEN: AlarmRow["state"][] = ["shelved", "suppressed", "out_of_service"];

export const isHidden = (alarm: AlarmRow): boolean => HIDDEN.includes(alarm.state);
export const isLoud = (alarm: AlarmRow): boolean => alarm.state === "unacknowledged";
export const canAcknowledge = (alarm: AlarmRow): boolean =>
  alarm.state === "unacknowledged" || alarm.state === "returned";

/** Active before returned, whatever their priority; what was put aside comes last. */
const urgency = (alarm: AlarmRow): number =>
  isHidden(alarm) ? 2 : Number(alarm.state === "returned");

/** What needs the operator first: active alarms, then by priority, then the newest. */
export const inOrder = (alarms: Iterable<AlarmRow>): AlarmRow[] =>
  [...alarms].sort(
    (a, b) =>
      urgency(a) - urgency(b) ||
      PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority) ||
      Date.parse(b.since) - Date.parse(a.since) ||
      a.id.localeCompare(b.id),
  );

/** The limit as a condition, which says nothing about the value: `≥ 0.40 %`. */
export const limitText = (alarm: AlarmRow): string =>
  `${alarm.direction === "high" ? "≥" : "≤"} ${formatNumber(alarm.limit)} ${formatUom(alarm.uom)}`;

/** Whether a value is beyond the limit: only then may they stand in one sentence. */
export const isBeyond = (alarm: AlarmRow, value: number | null): boolean =>
  value !== null &&
  alarm.limit !== null &&
  (alarm.direction === "high" ? value >= alarm.limit : value <= alarm.limit);

/** Time left as `29:59`, or `1:05:00` beyond an hour. */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((n) => String(n).padStart(2, "0"));
  const hours = Math.floor(seconds / 3600);
  return (hours > 0 ? [hours, ...parts] : parts).join(":");
}

/** Whether whoever is at this console may give orders. */
export const mayOrder = ref(true);

const ownName = ref(kept("operator") ?? "");
watch(ownName, (name) => keep("operator", name));

/** The operator at this console; empty where no orders are given. */
export const operator = computed({
  get: () => (mayOrder.value ? ownName.value : ""),
  set: (name) => (ownName.value = name),
});

const bodyOf = (): { by: string } => ({ by: operator.value.trim() });
const pathOf = (alarm: AlarmRow) => ({ path: { alarm: alarm.id } });

/** Commands of the operator; an empty text when one was accepted, else the reason of refusal. */
export const acknowledge = (alarm: AlarmRow): Promise<string> =>
  refusalOf(api.POST("/api/v1/alarms/{alarm}/ack", { params: pathOf(alarm), body: bodyOf() }));
export const unshelve = (alarm: AlarmRow): Promise<string> =>
  refusalOf(api.POST("/api/v1/alarms/{alarm}/unshelve", { params: pathOf(alarm), body: bodyOf() }));
export const shelve = (alarm: AlarmRow, minutes: number, reason: string): Promise<string> =>
  refusalOf(
    api.POST("/api/v1/alarms/{alarm}/shelve", {
      params: pathOf(alarm),
      body: { ...bodyOf(), minutes, reason },
    }),
  );

export type AlarmCommand = (alarm: AlarmRow) => Promise<string>;

export interface Refusal {
  alarm: AlarmRow;
  reason: string;
}

const AT_ONCE = 4; // A browser has six connections to a server, and the feed takes one.

/** Send one command for each of some alarms, a few at a time; the answer has those that were refused. */
export async function commandAll(rows: AlarmRow[], command: AlarmCommand): Promise<Refusal[]> {
  const waiting = [...rows];
  const refusals: Refusal[] = [];
  const work = async (): Promise<void> => {
    for (let alarm = waiting.shift(); alarm !== undefined; alarm = waiting.shift()) {
      const reason = await command(alarm);
      if (reason !== "") refusals.push({ alarm, reason });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return refusals;
}
