// Alarms as an operator works through them: what comes first, what stands where, who gives orders.
import { ref, watch } from "vue";
import { order, type Alarm } from "./api";
import { t } from "./i18n";

export const PRIORITIES = ["critical", "high", "medium", "low"] as const;

/** Shape and letter carry the priority as well as its colour; one colour is one priority. */
export const SHAPE: Record<Alarm["priority"], string> = {
  critical: "◆",
  high: "▲",
  medium: "●",
  low: "■",
};
export const LETTER: Record<Alarm["state"], string> = {
  normal: "",
  unacknowledged: "U",
  acknowledged: "A",
  returned: "R",
  shelved: "S",
  suppressed: "D",
  out_of_service: "O",
};

/** Priority and state in words. */
export const inWords = (alarm: Alarm): string =>
  `${priorityName(alarm.priority)} · ${t(alarm.state)}`;
export const priorityName = (priority: Alarm["priority"]): string =>
  t(priority === "medium" ? "middle" : priority);

const HIDDEN: Alarm["state"][] = ["shelved", "suppressed", "out_of_service"];

export const isHidden = (alarm: Alarm): boolean => HIDDEN.includes(alarm.state);
export const isLoud = (alarm: Alarm): boolean => alarm.state === "unacknowledged";
export const canAcknowledge = (alarm: Alarm): boolean =>
  alarm.state === "unacknowledged" || alarm.state === "returned";

/** What needs the operator first: hidden alarms last, then by priority, then the newest. */
export const inOrder = (alarms: Iterable<Alarm>): Alarm[] =>
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

/** Who gives the orders of this console. */
export const operator = ref(remembered());

watch(operator, (name) => {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // The name then lasts until the page is closed.
  }
});

export const give = (alarm: Alarm, name: "ack" | "shelve" | "unshelve", more: object = {}) =>
  order(`alarms/${encodeURI(alarm.id).replace(/[?#]/g, encodeURIComponent)}/${name}`, {
    by: operator.value.trim(),
    ...more,
  });
