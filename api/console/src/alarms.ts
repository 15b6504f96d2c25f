// Alarms as an operator works through them: their order, their signs, the commands.
import { ref, watch } from "vue";
import { api, refusalOf } from "./api";
import { t } from "./i18n";
import type { AlarmRow } from "./openapi";

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

/** What needs the operator first: hidden alarms last, then by priority, then the newest. */
export const inOrder = (alarms: Iterable<AlarmRow>): AlarmRow[] =>
  [...alarms].sort(
    (a, b) =>
      Number(isHidden(a)) - Number(isHidden(b)) ||
      PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority) ||
      Date.parse(b.since) - Date.parse(a.since) ||
      a.id.localeCompare(b.id),
  );

/** Time left as `29:59`, or `1:05:00` beyond an hour. */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((n) => String(n).padStart(2, "0"));
  const hours = Math.floor(seconds / 3600);
  return (hours > 0 ? [hours, ...parts] : parts).join(":");
}

const KEY = "parktwin.operator";

function remembered(): string {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // Storage may be forbidden on a locked-down control-room machine.
  }
}

/** The operator at this console. */
export const operator = ref(remembered());

watch(operator, (name) => {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // The name then lasts until the page is closed.
  }
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
