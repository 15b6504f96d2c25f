// The chlorine network of a scope: which nodes and links the ribbon draws.
import type { Park } from "./api";
import { derivedTag, isWithin } from "./model";

export const MEDIA = ["chlorine", "liquid_chlorine"];
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
}

export interface Ribbon {
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

export function buildRibbon(park: Park, scope: string): Ribbon {
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
  return {
    nodes: ids.map((id) => ({ id, scope: scopeOf(id), production: production.get(id) ?? null })),
    links,
  };
}
