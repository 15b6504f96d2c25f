// Who looks at this console, and what the account may do.
import { computed, ref, watch } from "vue";
import { api, dataOf, refused } from "../api";
import type { Me } from "../openapi";
import { mayOrder, operator } from "./alarms";

export type Role = NonNullable<Me["role"]>;

export const me = ref<Me | null>(null);

/** True where the console waits for somebody to come in. */
export const isShut = computed(() => me.value?.access === "accounts" && me.value.account === null);

/** True where the account may do nothing before it has a second factor. */
export const isHeld = computed(() => me.value?.second_factor === "wanted");

export async function loadMe(): Promise<void> {
  me.value = await dataOf(api.GET("/api/v1/me"));
}

// A session that has ended shows itself by an answer that is refused.
watch(refused, () => void loadMe().catch(() => undefined));

// Orders are those of the account, whatever the field of the name says.
watch(me, (now) => {
  if (now?.account) operator.value = now.account;
  mayOrder.value = now === null || now.rights.includes("operate");
});

export async function leave(): Promise<void> {
  me.value = await dataOf(api.POST("/api/v1/logout"));
}

/** Look at the demonstration as a role, or as everybody again. */
export function lookAs(role: Role | "", scope: string): void {
  const end = role === "" ? "; max-age=0" : "";
  document.cookie = `parktwin-as=${role}:${scope}; path=/; samesite=strict${end}`;
  location.reload();
}
