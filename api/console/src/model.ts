// What the console knows of the park: its model, its tags, and what the operator has chosen.
import { computed, ref, shallowReactive, shallowRef } from "vue";
import { get, type Page, type Park, type Scope, type TagInfo } from "./api";
import { nameOf } from "./i18n";

const PAGE = 500;
const MAX_PAGES = 40; // A larger park is still searchable, its other tags only lack a unit here.

export const park = shallowRef<Park | null>(null);
export const tags = shallowReactive(new Map<string, TagInfo>());
export const selectedScope = ref<string | null>(null);
export const selectedTag = ref<string | null>(null);

export const timezone = computed(() => park.value?.timezone ?? "Asia/Shanghai");
export const scopes = computed(() => new Map(park.value?.scopes.map((scope) => [scope.id, scope])));

export const isWithin = (id: string, scope: string): boolean =>
  id === scope || id.startsWith(`${scope}/`);

export const scopeName = (id: string): string => nameOf(scopes.value.get(id)?.name, id);

/** The name without its remark in brackets, such as "(demo)". */
export const plainName = (id: string): string => scopeName(id).replace(/\s*[（(].*$/, "");

/** The nearest scope of `kind` at or above `id`. */
export function above(id: string, kind: Scope["kind"]): Scope | undefined {
  for (let at: string | null = id; at !== null; at = scopes.value.get(at)?.parent ?? null) {
    const scope = scopes.value.get(at);
    if (scope?.kind === kind) return scope;
  }
  return undefined;
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
  const loaded = await get<Park>("park");
  const found = new Map<string, TagInfo>();
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const answer = await get<Page<TagInfo>>("tags", { limit: PAGE, cursor });
    for (const info of answer.items) found.set(info.tag, info);
    if (answer.next === null) break;
    cursor = answer.next;
  }
  for (const tag of tags.keys()) if (!found.has(tag)) tags.delete(tag);
  for (const [tag, info] of found) tags.set(tag, info);
  park.value = loaded;
  const ids = loaded.scopes.map((scope) => scope.id);
  if (selectedScope.value === null || !ids.includes(selectedScope.value))
    selectedScope.value = loaded.id;
}
