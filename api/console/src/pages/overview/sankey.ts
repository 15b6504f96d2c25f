// A layered flow diagram: boxes as high as their flow, bands as wide as theirs, in lanes.
import type { Flow, Layers } from "./layers";

export interface Box {
  id: string;
  column: number;
  x: number;
  y: number;
  height: number;
}

export interface Band {
  id: string;
  path: string;
  width: number;
}

export interface Size {
  width: number;
  height: number;
  label: number; // room for a label right of the last column
  line: number; // height of a label of two lines, of one in the last column
  lastLine: number;
  caption: number; // room for the name of a lane above its first column
  shares: number[]; // of the width, for each column but the last
}

export interface Drawing {
  boxes: Box[];
  bands: Band[];
  lanes: number[]; // top of each
  scale: number; // pixels per unit of flow
  columnAt: number[]; // left edge of each column
}

interface Slot extends Box {
  room: number; // height it claims for itself and its label
  isNode: boolean;
  pull: number; // where its middle wants to be
}

interface Step {
  flow: Flow;
  from: Slot;
  to: Slot;
  width: number;
  start: number; // of its middle, from the middle of the slot it leaves
  end: number;
}

export const BOX = 12;
const THIN = 2; // width of a band without a value

/** How wide a flow is drawn. */
export const widthOf = (flow: number | null, scale: number): number =>
  Math.max(THIN, Math.abs(flow ?? 0) * scale);
const LEAST = 4; // height of a box
const GAP = 10; // between boxes
const LANE_GAP = 8;
const STEP = 0.94;
const SWEEPS = 24;
const SHARE = 0.62; // of the height, for the largest box

const middle = (box: Box): number => box.y + box.height / 2;
const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);

/** Put slots, in order and apart, as near as may be (least squares) to where they want to be. */
function settle(slots: Slot[], top: number, bottom: number): void {
  const blocks: { total: number; weight: number; count: number }[] = [];
  let edge = 0;
  const offsets = slots.map((slot) => (edge += slot.room) - slot.room / 2);
  slots.forEach((slot, i) => {
    const weight = 1 + slot.height;
    let block = { total: weight * (slot.pull - (offsets[i] ?? 0)), weight, count: 1 };
    for (let above = blocks.at(-1); above !== undefined; above = blocks.at(-1)) {
      if (above.total / above.weight <= block.total / block.weight) break;
      blocks.pop();
      block = {
        total: block.total + above.total,
        weight: block.weight + above.weight,
        count: block.count + above.count,
      };
    }
    blocks.push(block);
  });
  const shifts = blocks.flatMap((block) =>
    Array.from({ length: block.count }, () => block.total / block.weight),
  );
  slots.forEach((slot, i) => {
    const shift = Math.max(top, Math.min(bottom - edge, shifts[i] ?? 0));
    slot.y = shift + (offsets[i] ?? 0) - slot.height / 2;
  });
}

/** Stack the ends of the steps at each slot in the order of their other ends. */
function dock(steps: Step[], slots: Slot[]): void {
  for (const slot of slots) {
    const leaving = steps.filter((step) => step.from === slot);
    const arriving = steps.filter((step) => step.to === slot);
    leaving.sort((a, b) => middle(a.to) - middle(b.to));
    arriving.sort((a, b) => middle(a.from) - middle(b.from));
    for (const [side, end] of [[leaving, "start"] as const, [arriving, "end"] as const]) {
      let at = -sum(side.map((step) => step.width)) / 2;
      for (const step of side) {
        step[end] = at + step.width / 2;
        at += step.width;
      }
    }
  }
}

/** Where the steps at `slot` would run level, the wide ones above all. */
function levelOf(slot: Slot, steps: Step[]): number {
  let [total, weight] = [0, 0];
  for (const step of steps) {
    if (step.from !== slot && step.to !== slot) continue;
    const slope = middle(step.to) + step.end - middle(step.from) - step.start;
    total += step.width * (middle(slot) + (step.from === slot ? slope : -slope));
    weight += step.width;
  }
  return weight > 0 ? total / weight : middle(slot);
}

/** The band of a flow through its steps; one that runs back passes below everything. */
function bandPath(steps: Step[]): string {
  return steps
    .map((step, i) => {
      const [x, to] = [step.from.x + BOX, step.to.x];
      const [y, end] = [middle(step.from) + step.start, middle(step.to) + step.end];
      const bend = x + (to - x) / 2;
      return `${i === 0 ? "M" : "L"}${x},${y}C${bend},${y} ${bend},${end} ${to},${end}`;
    })
    .join("");
}

function backPath(a: Box, b: Box, floor: number): string {
  const [from, to] = [a.x + BOX, b.x];
  const [right, left] = [from + 60, to - 60];
  return `M${from},${middle(a)}C${right},${middle(a)} ${right},${floor} ${from},${floor}L${to},${floor}C${left},${floor} ${left},${middle(b)} ${to},${middle(b)}`;
}

/** Find room for the flows `valueOf` (null: no value, thin) between the nodes of `layers`. */
export function place(
  { columns, chains, laneOf }: Layers,
  flows: Flow[],
  valueOf: (id: string) => number | null,
  size: Size,
  former: number,
): Drawing {
  const amount = (flow: Flow): number => Math.abs(valueOf(flow.id) ?? 0);
  const nodes = new Set(flows.flatMap((flow) => [flow.from, flow.to]));
  const passing = new Map(
    flows.flatMap((flow) => (chains.get(flow.id) ?? []).slice(1, -1).map((id) => [id, flow])),
  );
  const load = new Map(
    columns.flat().map((id) => {
      const flow = passing.get(id);
      if (flow !== undefined) return [id, amount(flow)] as const;
      const into = sum(flows.filter((one) => one.to === id).map(amount));
      const outOf = sum(flows.filter((one) => one.from === id).map(amount));
      return [id, Math.max(into, outOf)] as const;
    }),
  );
  const last = columns.length - 1;
  const heightOf = (id: string, scale: number): number =>
    Math.max(nodes.has(id) ? LEAST : THIN, (load.get(id) ?? 0) * scale);
  const roomOf = (id: string, column: number, scale: number): number => {
    if (!nodes.has(id)) return heightOf(id, scale) + 3;
    return Math.max(heightOf(id, scale) + GAP, column === last ? size.lastLine : size.line);
  };
  const count = 1 + Math.max(0, ...laneOf.values());
  const needs = (scale: number): number[] =>
    Array.from({ length: count }, (_, lane) => {
      const inLane = columns.map((ids, column) =>
        sum(
          ids.filter((id) => (laneOf.get(id) ?? 0) === lane).map((id) => roomOf(id, column, scale)),
        ),
      );
      return Math.max(size.caption + (inLane[0] ?? 0), ...inLane) + LANE_GAP;
    });

  // The largest step of scale at which the lanes fit; the former one is kept if it is close.
  const fits = (scale: number): boolean => sum(needs(scale)) <= size.height;
  let scale = former;
  if (former <= 0 || !fits(former) || fits(former / STEP ** 2)) {
    scale = (SHARE * size.height) / Math.max(1e-9, ...load.values());
    for (let i = 0; i < 80 && !fits(scale); i += 1) scale *= STEP;
  }
  const need = needs(scale);
  const stretch = Math.max(1, size.height / sum(need));
  const edges = need.map((_, lane) => stretch * sum(need.slice(0, lane)));
  const unit = (size.width - BOX - size.label) / Math.max(1, sum(size.shares));
  const columnAt = columns.map((_, column) => unit * sum(size.shares.slice(0, column)));

  const slots = columns.map((ids, column) =>
    ids.map((id): Slot => {
      const height = heightOf(id, scale);
      const room = roomOf(id, column, scale);
      const isNode = nodes.has(id);
      const x = columnAt[column] ?? 0;
      return { id, column, x, y: 0, height, room, isNode, pull: 0 };
    }),
  );
  const at = new Map(slots.flat().map((slot) => [slot.id, slot]));
  const steps = flows.map((flow) =>
    (chains.get(flow.id) ?? []).flatMap((id, i, chain): Step[] => {
      const [from, to] = [at.get(chain[i - 1] ?? ""), at.get(id)];
      const width = widthOf(amount(flow), scale);
      return from && to ? [{ flow, from, to, width, start: 0, end: 0 }] : [];
    }),
  );
  const groups = slots.flatMap((column, i) =>
    need.map((height, lane) => ({
      slots: column.filter((slot) => (laneOf.get(slot.id) ?? 0) === lane),
      top: (edges[lane] ?? 0) + (i === 0 ? size.caption : 0),
      bottom: (edges[lane] ?? 0) + stretch * height - LANE_GAP,
    })),
  );
  // First every column spread over its lane, then each drawn to where its bands run level.
  for (const { slots: group, top, bottom } of groups) {
    const spare = (bottom - top - sum(group.map((slot) => slot.room))) / (group.length + 1);
    let edge = top;
    for (const slot of group) {
      slot.y = edge + spare + (slot.room - slot.height) / 2;
      edge += spare + slot.room;
    }
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const group of sweep % 2 === 0 ? groups : groups.toReversed()) {
      dock(steps.flat(), slots.flat());
      for (const slot of group.slots) slot.pull = levelOf(slot, steps.flat());
      settle(group.slots, group.top, group.bottom);
    }
  }
  dock(steps.flat(), slots.flat());

  const bands = flows.flatMap((flow, i): Band[] => {
    const [a, b, own] = [at.get(flow.from), at.get(flow.to), steps[i] ?? []];
    if (a === undefined || b === undefined) return [];
    const width = widthOf(amount(flow), scale);
    const path = own.length > 0 ? bandPath(own) : backPath(a, b, size.height - width / 2 - 1);
    return [{ id: flow.id, width, path }];
  });
  const boxes = slots.flat().filter((slot) => slot.isNode);
  return { boxes, bands, lanes: edges, scale, columnAt };
}
