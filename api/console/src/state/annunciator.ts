// New alarms are heard and seen beside the page: a notification of the browser and a sound, each viewer's choice.
import { ref, watch } from "vue";
import { router } from "../router";
import type { AlarmRow } from "../openapi";
import { isLoud, PRIORITIES, priorityName, SHAPE, titleOf } from "./alarms";
import { keep, kept } from "./kept";
import { alarms, feed } from "./live";

export type Threshold = (typeof PRIORITIES)[number] | "off";

const MUTE_MS = 30 * 60_000;
const BURST_MS = 1_000; // What comes together is told together.
const FEW = 3; // More alarms at once are one notification.

const isThreshold = (text: string | null): text is Threshold =>
  [...PRIORITIES, "off"].includes(text as Threshold);
const thresholdOf = (name: string): Threshold => {
  const text = kept(name);
  return isThreshold(text) ? text : "off";
};

/** From which priority on there is a sound, and a notification of the browser. */
export const soundFrom = ref<Threshold>(thresholdOf("soundFrom"));
export const noticeFrom = ref<Threshold>(thresholdOf("noticeFrom"));
/** The sound is silent until then. */
export const mutedUntil = ref(Number(kept("mutedUntil") ?? 0));
/** The browser makes no sound before the viewer has touched the page. */
export const isSoundHeld = ref(false);

watch(soundFrom, (value) => keep("soundFrom", value));
watch(noticeFrom, (value) => keep("noticeFrom", value));
watch(mutedUntil, (value) => keep("mutedUntil", String(value)));

export const isMuted = (): boolean => mutedUntil.value > Date.now();
export const mute = (): void => void (mutedUntil.value = isMuted() ? 0 : Date.now() + MUTE_MS);

/** What the browser allows: notifications exist on https and on this machine only. */
export const permission = ref(
  "Notification" in window && isSecureContext ? Notification.permission : "unsupported",
);
export async function allowNotices(): Promise<void> {
  if (permission.value === "default") permission.value = await Notification.requestPermission();
}

const isFrom = (alarm: AlarmRow, threshold: Threshold): boolean =>
  threshold !== "off" && PRIORITIES.indexOf(alarm.priority) <= PRIORITIES.indexOf(threshold);

let audio: AudioContext | null = null;

/** Short tones: three high ones for a critical alarm, else two. */
export function sound(priority: AlarmRow["priority"]): void {
  audio ??= new AudioContext();
  const context = audio;
  void context.resume();
  isSoundHeld.value = context.state === "suspended";
  const [count, hertz] = priority === "critical" ? [3, 988] : [2, 659];
  for (let nth = 0; nth < count; nth++) {
    const tone = context.createOscillator();
    const volume = context.createGain();
    const at = context.currentTime + 0.25 * nth;
    tone.frequency.value = hertz;
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(0.3, at + 0.02);
    volume.gain.linearRampToValueAtTime(0, at + 0.18);
    tone.connect(volume).connect(context.destination);
    tone.start(at);
    tone.stop(at + 0.2);
  }
}

function notify(rows: AlarmRow[]): void {
  const [first] = rows;
  if (!first || permission.value !== "granted") return;
  const title = `${SHAPE[first.priority]} ${priorityName(first.priority)} · ${titleOf(first)}`;
  // The same tag in a second window replaces it there: nobody sees it twice.
  const tag = `${first.id} ${first.since}`;
  const body = rows.length > 1 ? `+ ${rows.length - 1}` : first.scope;
  const shown = new Notification(title, { body, tag });
  shown.onclick = () => {
    window.focus();
    shown.close();
    void router.push({ name: "alarms", query: { alarm: first.id } });
  };
}

const known = new Set<string>();
let waiting: AlarmRow[] = [];
let isFirst = true;
let timer = 0;

function announce(): void {
  timer = 0;
  const rows = waiting.sort(
    (a, b) => PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority),
  );
  waiting = [];
  const loudest = rows.find((row) => isFrom(row, soundFrom.value));
  if (loudest && !isMuted()) sound(loudest.priority);
  const noticed = rows.filter((row) => isFrom(row, noticeFrom.value));
  if (noticed.length > FEW) notify(noticed);
  else for (const row of noticed) notify([row]);
}

/** Announce what becomes unacknowledged from now on; what the first image has is no news. */
export function startAnnunciator(): void {
  watch(
    () => [feed.images, ...[...alarms.values()].filter(isLoud).map((a) => `${a.id} ${a.since}`)],
    () => {
      if (feed.images === 0) return;
      const loud = [...alarms.values()].filter(isLoud);
      const news = loud.filter((alarm) => !known.has(`${alarm.id} ${alarm.since}`));
      known.clear();
      for (const alarm of loud) known.add(`${alarm.id} ${alarm.since}`);
      if (!isFirst) waiting.push(...news);
      isFirst = false;
      if (waiting.length > 0) timer ||= window.setTimeout(announce, BURST_MS);
    },
  );
}
