// The model of the park, its tags, and the choices of the operator.
import { computed, shallowReactive, shallowRef } from "vue";
import { api, dataOf } from "../api";
import { me } from "./account";
import { choose, parameter } from "./address";
import { lang, nameOf } from "./i18n";
import type { ParkAnswer, ScopeRow, TagRow } from "../openapi";

const PAGE = 500;
const SUMS: ScopeRow["kind"][] = ["region", "park"]; // of several enterprises
const MAX_PAGES = 40; // A larger park is still searchable, its other tags only lack a unit here.

export const park = shallowRef<ParkAnswer | null>(null);
export const tags = shallowReactive(new Map<string, TagRow>());
export const timezone = computed(() => park.value?.timezone ?? "Asia/Shanghai");
export const scopes = computed(() => new Map(park.value?.scopes.map((scope) => [scope.id, scope])));

/** What the account is for, else the whole park: where the console opens. */
export const homeScope = computed(() => {
  const own = me.value?.scope ?? "";
  return scopes.value.has(own) ? own : (park.value?.id ?? null);
});

/** The scope of the address, else that of the account; null before the model is there. */
export const selectedScope = computed({
  get: () => {
    const named = parameter("scope");
    return named !== null && scopes.value.has(named) ? named : homeScope.value;
  },
  // A tag that was chosen in another scope is not meant any more.
  set: (id) => choose({ scope: id === homeScope.value ? null : id, tag: null }),
});

/** Whether the chosen scope is one of another, of which this account may know nothing. */
export const isForeign = computed(() => {
  const scope = scopes.value.get(selectedScope.value ?? "");
  return scope !== undefined && !scope.disclosed && !SUMS.includes(scope.kind);
});

/** The tag of the address, if there is one. */
export const selectedTag = computed({
  get: () => parameter("tag"),
  set: (tag) => choose({ tag }),
});

/** Whether this account may know all figures of a scope. */
export const isDisclosed = (id: string): boolean => scopes.value.get(id)?.disclosed ?? false;

export const isWithin = (id: string, scope: string): boolean =>
  id === scope || id.startsWith(`${scope}/`);

export const scopeName = (id: string): string => nameOf(scopes.value.get(id)?.name, id);

/** The name without its remark in brackets, such as "(demo)". */
export const plainName = (id: string): string => scopeName(id).replace(/\s*[（(].*$/, "");

/** The nearest scope of `kind` at or above `id`. */
export function above(id: string, kind: ScopeRow["kind"]): ScopeRow | undefined {
  for (let at: string | null = id; at !== null; at = scopes.value.get(at)?.parent ?? null) {
    const scope = scopes.value.get(at);
    if (scope?.kind === kind) return scope;
  }
  return undefined;
}

/** The description of a tag in the language of the reader, where it is written "中文 / English". */
export function descriptionOf(tag: string): string {
  const text = tags.get(tag)?.description ?? "";
  const [zh = "", ...en] = text.split(" / ");
  return en.length === 0 ? text : lang.value === "zh" ? zh : en.join(" / ");
}

/** The name of a scope below an enterprise, after that of the enterprise. */
export function plantName(id: string): string {
  const owner = above(id, "enterprise")?.id;
  return owner === undefined || owner === id ? plainName(id) : `${plainName(owner)} · ${plainName(id)}`;
}

const derived = computed(() => {
  const byName = new Map<string, string>();
  for (const info of tags.values()) {
    if (info.source !== "derived") continue;
    const name = info.tag.split("/").at(-1) ?? "";
    byName.set(`${info.scope} ${name.split(".").slice(-3).join(".")}`, info.tag);
  }
  return byName;
});

/** The derived tag of a scope by the end of its name, such as `chlorine.mass_flow.production`. */
export const derivedTag = (scope: string, name: string): string | null =>
  derived.value.get(`${scope} ${name}`) ?? null;

export async function loadModel(): Promise<void> {
  const loaded = await dataOf(api.GET("/api/v1/park"));
  const rows = new Map<string, TagRow>();
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query = { limit: PAGE, cursor };
    const answer = await dataOf(api.GET("/api/v1/tags", { params: { query } }));
    for (const info of answer.items) rows.set(info.tag, info);
    if (answer.next === null) break;
    cursor = answer.next;
  }
  for (const tag of tags.keys()) if (!rows.has(tag)) tags.delete(tag);
  for (const [tag, info] of rows) tags.set(tag, info);
  park.value = loaded;
}
