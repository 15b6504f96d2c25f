// The chlorine network of a scope: which nodes and links the ribbon draws.
import { toTonnesPerHour } from "../../values/format";
import { t } from "../../state/i18n";
import { live } from "../../state/live";
import { above, derivedTag, isWithin, plainName, scopeName, tags } from "../../state/model";
import type { ParkAnswer } from "../../openapi";
import { isBad, markOf } from "../../values/quality";

export const MEDIA = ["chlorine", "liquid_chlorine", "tail_gas"];
export const PRODUCTION = "chlorine.mass_flow.production";
const OUTSIDE = ["market", "atmosphere"];

export interface RibbonLink {
  id: string;
  from: string;
  to: string;
  medium: string;
  mode: string;
  tag: string | null;
}

export interface RibbonNode {
  id: string;
  scope: string; // a scope id, "market" or "atmosphere"
  production: string | null; // tag of the chlorine made here by Faraday's law
  lane: number;
}

export interface Ribbon {
  lanes: string[]; // enterprises, each drawn in a lane of its own; none where there is one only
  nodes: RibbonNode[];
  links: RibbonLink[];
}

/** "market" buys and sells: the two ends are drawn apart, so that chlorine runs left to right. */
const sourceId = (end: string): string => (OUTSIDE.includes(end) ? `${end}:source` : end);
const sinkId = (end: string): string => (OUTSIDE.includes(end) ? `${end}:sink` : end);
export const scopeOf = (node: string): string => node.split(":")[0] ?? node;

/** The tag of chlorine made at `scope`: its own, or that of the nearest scope with no other maker. */
function productionTag(scope: string, makers: string[]): string | null {
  for (let at = scope; at !== ""; at = at.slice(0, Math.max(0, at.lastIndexOf("/")))) {
    if (makers.some((maker) => maker !== scope && isWithin(maker, at))) return null;
    const tag = derivedTag(at, PRODUCTION);
    if (tag !== null) return tag;
  }
  return null;
}

function sharedDepth(first: string, second: string): number {
  const other = second.split("/");
  const parts = first.split("/");
  const split = parts.findIndex((part, i) => part !== other[i]);
  return split < 0 ? parts.length : split;
}

/** Join a maker that no stream leaves to the source node nearest to it in the scope tree. */
function supplyLink(maker: string, links: RibbonLink[], tag: string | null): RibbonLink | null {
  const fed = new Set(links.map((link) => link.to));
  const open = links
    .map((link) => link.from)
    .filter((from) => !fed.has(from) && !from.includes(":"));
  const nearest = open.toSorted((a, b) => sharedDepth(maker, b) - sharedDepth(maker, a))[0];
  if (nearest === undefined) return null;
  return {
    id: `make ${maker}`,
    from: maker,
    to: nearest,
    medium: "chlorine",
    mode: "internal",
    tag,
  };
}

/** The enterprises among `ids` and the lane of each id; what lies outside joins those it serves. */
function lanesOf(
  ids: string[],
  links: RibbonLink[],
  scope: string,
): { lanes: string[]; laneOf: Map<string, number> } {
  const owner = new Map(ids.map((id) => [id, above(scopeOf(id), "enterprise")?.id]));
  const lanes = [...new Set(owner.values())].filter((id) => id !== undefined);
  if (lanes.length < 2 || above(scope, "enterprise") !== undefined)
    return { lanes: [], laneOf: new Map() };
  const laneOf = new Map<string, number>();
  for (const [id, enterprise] of owner)
    if (enterprise !== undefined) laneOf.set(id, lanes.indexOf(enterprise));
  for (const id of ids.filter((one) => owner.get(one) === undefined)) {
    const served = links
      .filter((link) => link.from === id || link.to === id)
      .flatMap((link) => laneOf.get(link.from === id ? link.to : link.from) ?? []);
    const total = served.reduce((sum, lane) => sum + lane, 0);
    laneOf.set(id, Math.round(total / Math.max(1, served.length)));
  }
  return { lanes, laneOf };
}

/** What a node is called; its enterprise too, where it is another and no lane says it already. */
export function labelOf(
  node: RibbonNode,
  ribbon: Ribbon,
  scope: string,
): { owner: string; name: string } {
  if (node.id === "market:sink") return { owner: "", name: t("marketSink") };
  if (node.id === "market:source") return { owner: "", name: t("marketSource") };
  if (node.scope === "atmosphere") return { owner: "", name: t("atmosphere") };
  const enterprise = above(node.scope, "enterprise")?.id;
  const isOther = enterprise !== undefined && enterprise !== above(scope, "enterprise")?.id;
  const isSaid = ribbon.lanes.length > 0 || enterprise === node.scope;
  return { owner: isOther && !isSaid ? plainName(enterprise) : "", name: scopeName(node.scope) };
}

/** A link's flow in t/h, or null where it has no usable value. */
export function flowOf(link: RibbonLink): number | null {
  const sample = link.tag === null ? undefined : live.get(link.tag);
  if (sample === undefined || isBad(sample.quality)) return null;
  return toTonnesPerHour(sample.value, link.tag === null ? undefined : tags.get(link.tag)?.uom);
}

/** What a band is as wide as: a doubtful flow beyond the range of its meter ruins no other band. */
export function drawnFlow(link: RibbonLink): number | null {
  const flow = flowOf(link);
  const info = link.tag === null ? undefined : tags.get(link.tag);
  const high = toTonnesPerHour(info?.high ?? null, info?.uom);
  if (flow === null || high === null) return flow;
  return Math.max(-high, Math.min(high, flow));
}

/** Whether the flow is not of now. */
export const isOld = (link: RibbonLink): boolean =>
  link.tag !== null && markOf(live.get(link.tag)?.quality ?? 0) === "stale";

/** The metered stream with the most chlorine at `scope`: measured, so it has a history. */
export function mainFlow(park: ParkAnswer, scope: string): string | null {
  const measured = park.streams
    .filter((stream) => MEDIA.includes(stream.medium))
    .filter((stream) => isWithin(stream.from, scope) || isWithin(stream.to, scope))
    .flatMap((stream) => stream.flow ?? [])
    .filter((tag) => tags.get(tag)?.source === "measured");
  const size = (tag: string): number =>
    toTonnesPerHour(live.get(tag)?.value ?? null, tags.get(tag)?.uom) ?? -1;
  return measured.toSorted((a, b) => size(b) - size(a))[0] ?? null;
}

export function buildRibbon(park: ParkAnswer, scope: string): Ribbon {
  const links: RibbonLink[] = park.streams
    .filter((stream) => MEDIA.includes(stream.medium))
    .filter((stream) => isWithin(stream.from, scope) || isWithin(stream.to, scope))
    .map((stream) => ({
      id: stream.id,
      from: sourceId(stream.from),
      to: sinkId(stream.to),
      medium: stream.medium,
      mode: stream.mode,
      tag: stream.flow,
    }));
  const makers = [
    ...new Set(park.electrolysers.filter((e) => e.kind === "membrane").map((e) => e.scope)),
  ];
  const production = new Map(makers.map((maker) => [maker, productionTag(maker, makers)]));
  for (const maker of makers.filter((id) => isWithin(id, scope))) {
    const leaving = links.filter((link) => link.from === maker);
    const only = leaving[0];
    // What Faraday's law makes is what leaves, where the only way out has no meter of its own.
    if (leaving.length === 1 && only?.tag === null) only.tag = production.get(maker) ?? null;
    if (leaving.length > 0) continue;
    const supply = supplyLink(maker, links, production.get(maker) ?? null);
    if (supply !== null) links.unshift(supply);
  }
  const order = new Map(park.scopes.map((s, i) => [s.id, i]));
  const ids = [...new Set(links.flatMap((link) => [link.from, link.to]))];
  ids.sort((a, b) => (order.get(a) ?? ids.length) - (order.get(b) ?? ids.length));
  const { lanes, laneOf } = lanesOf(ids, links, scope);
  const nodes = ids.map((id) => ({
    id,
    scope: scopeOf(id),
    production: production.get(id) ?? null,
    lane: laneOf.get(id) ?? 0,
  }));
  return { lanes, nodes, links };
}
