// A question that takes long and whose answer stands: it is asked once, not every half minute.
import { onScopeDispose, ref, shallowRef } from "vue";

export function useOnce<T>(load: (signal: AbortSignal) => Promise<T>, isAtOnce = true) {
  const data = shallowRef<T | null>(null);
  const problem = ref("");
  const isAsking = ref(false);
  const left = new AbortController();

  async function ask(): Promise<void> {
    isAsking.value = true;
    problem.value = "";
    try {
      data.value = await load(left.signal);
    } catch (error) {
      problem.value = error instanceof Error ? error.message : String(error);
    }
    isAsking.value = false;
  }
  onScopeDispose(() => left.abort());
  if (isAtOnce) void ask();
  return { data, problem, isAsking, ask };
}
