// How a page asks the HTTP interface, and goes on asking.
import { onScopeDispose, ref, shallowRef, watch, type Ref, type ShallowRef } from "vue";
import { apiDown, Withheld } from "../api";
import { atMs, timeKey } from "./address";
import { feed } from "./live";

const PERIOD_MS = 30_000;
const PAST_MS = 300_000; // The past changes by late samples and corrections only.
const RETRY_MS = 5_000;

export interface Answer<T> {
  data: ShallowRef<T | null>; // the newest answer about the present subject
  failed: Ref<boolean>; // the last question was not answered: what stands in `data` is older
  problem: Ref<string>; // why, as the API says it
  withheld: Ref<boolean>; // it is not for this account, and is not asked again
  isLoading: Ref<boolean>; // nothing about the present subject has come yet
  reload: () => void;
}

/**
 * Ask `load` about `subject`, and again every 30 s (sooner while the API is away or nothing has come yet).
 *
 * It asks at once when the subject, the moment or the period of the address changes, or when the first
 * value grows old or the last is not any more. A failure keeps the last answer and says so; an answer
 * about a former subject is dropped and its question given up, as when the page is left. A null subject
 * asks nothing. `load` reads moment and period itself (`nowMs`, `periodAt`), when it is called.
 */
export function useAnswer<S, T>(
  subject: () => S | null,
  load: (subject: S, signal: AbortSignal) => Promise<T>,
): Answer<T> {
  const data: ShallowRef<T | null> = shallowRef(null);
  const failed = ref(false);
  const problem = ref("");
  const withheld = ref(false);
  const isLoading = ref(false);
  let timer = 0;
  let question = new AbortController();
  let isAsking = false;
  let isOverdue = false; // something changed while a question was on its way

  async function ask(about: S, { signal }: AbortController): Promise<void> {
    isAsking = true;
    try {
      const answer = await load(about, signal);
      if (signal.aborted) return;
      data.value = answer;
      failed.value = false;
      problem.value = "";
    } catch (error) {
      if (signal.aborted) return;
      failed.value = true;
      problem.value = error instanceof Error ? error.message : String(error);
      withheld.value = error instanceof Withheld;
      // Each time it would be a refusal in the record of the park.
      if (withheld.value) data.value = null;
    }
    isLoading.value = isAsking = false;
    if (withheld.value) return;
    const isSoon = isOverdue || (failed.value && (apiDown.value || data.value === null));
    isOverdue = false;
    const pause = atMs.value === null ? PERIOD_MS : PAST_MS;
    timer = window.setTimeout(() => void ask(about, question), isSoon ? RETRY_MS : pause);
  }

  function stop(): void {
    question.abort();
    clearTimeout(timer);
  }
  function restart(): void {
    stop();
    question = new AbortController();
    const about = subject();
    isLoading.value = about !== null && data.value === null;
    if (about !== null) void ask(about, question);
  }

  watch(
    // A subject of several parts is another one when a part is.
    () => `${JSON.stringify(subject())} ${timeKey.value}`,
    () => {
      data.value = null;
      failed.value = withheld.value = false;
      restart();
    },
    { immediate: true },
  );
  // Answers about now are of another now, once values stop or come again.
  watch(
    () => feed.old,
    (old, before) => {
      if (atMs.value !== null || old > 0 === before > 0) return;
      // While values come and go, a question that is given up each time would never be answered.
      if (isAsking) isOverdue = true;
      else restart();
    },
  );
  onScopeDispose(stop);
  return { data, failed, problem, withheld, isLoading, reload: restart };
}
