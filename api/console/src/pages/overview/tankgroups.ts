// Tanks by enterprise, and what their sums say.
import { above, plainName } from "../../state/model";
import type { TankState } from "../../openapi";
import { INCOMPLETE, worse } from "../../values/quality";

export interface TankGroup {
  id: string;
  name: string;
  prefix: string; // what the ids of the group have in common, such as "V-1301"
  tanks: { tank: TankState; label: string }[];
}

export interface TankSum {
  value: number | null;
  quality: number;
}

export const isOver = (tank: TankState): boolean =>
  tank.fill !== null && tank.fill_limit !== null && tank.fill > tank.fill_limit;

/** The inventory of `tanks`, uncertain where one of them has none. */
export function sumOf(tanks: TankState[]): TankSum {
  const known = tanks.filter((tank) => tank.inventory_t !== null);
  if (known.length === 0) return { value: null, quality: 0 };
  const quality = known.map((tank) => tank.quality).reduce(worse);
  const value = known.reduce((sum, tank) => sum + (tank.inventory_t ?? 0), 0);
  return { value, quality: known.length < tanks.length ? worse(quality, INCOMPLETE) : quality };
}

/** What all of `ids` begin with: nothing where it is the whole of one, never a part of a number. */
function sharedStart(ids: string[]): string {
  const [first = "", ...others] = ids;
  if (others.length === 0) return "";
  let end = 0;
  while (end < first.length && others.every((id) => id[end] === first[end])) end += 1;
  if (ids.some((id) => id.length === end)) return "";
  const isInNumber = ids.some((id) => /\d/.test(id[end] ?? ""));
  const shared = first.slice(0, end);
  return isInNumber ? shared.replace(/\d+$/, "") : shared;
}

export function tankGroups(tanks: TankState[]): TankGroup[] {
  const byOwner = new Map<string, TankState[]>();
  for (const tank of tanks) {
    const owner = above(tank.scope, "enterprise")?.id ?? tank.scope;
    byOwner.set(owner, [...(byOwner.get(owner) ?? []), tank]);
  }
  return [...byOwner].map(([id, own]) => {
    const ownerPrefix = `${id.split("/").at(-1)}-`;
    const short = own.map((tank) => tank.id.replace(ownerPrefix, ""));
    const prefix = sharedStart(short);
    return {
      id,
      name: plainName(id),
      prefix,
      tanks: own.map((tank, i) => ({ tank, label: short[i]?.slice(prefix.length) ?? tank.id })),
    };
  });
}
