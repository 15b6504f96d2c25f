// Which column a node stands in (graph depth), and in what order within it (fewest crossings).

export interface Flow {
  id: string;
  from: string;
  to: string;
}

export interface Layers {
  columns: string[][]; // top to bottom, lane by lane, of nodes and of the waypoints of long flows
  chains: Map<string, string[]>; // a flow's nodes and waypoints, left to right; none if it runs back
  laneOf: Map<string, number>; // of nodes and waypoints
}

const SWEEPS = 12;

const mean = (values: number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Longest way from a source, per node; links that close a loop are left out. */
function depths(ids: string[], flows: Flow[]): Map<string, number> {
  const depth = new Map<string, number>();
  const fed = new Set(flows.map((flow) => flow.to));
  const visit = (id: string, at: number, trail: Set<string>): void => {
    if (trail.has(id) || at <= (depth.get(id) ?? -1)) return;
    depth.set(id, at);
    trail.add(id);
    for (const flow of flows) if (flow.from === id) visit(flow.to, at + 1, trail);
    trail.delete(id);
  };
  for (const id of ids) if (!fed.has(id)) visit(id, 0, new Set());
  for (const id of ids) if (!depth.has(id)) visit(id, 0, new Set());
  return depth;
}

/** Users stand in the last column, where their names have room; outside sources before their use. */
function columnOf(ids: string[], flows: Flow[]): Map<string, number> {
  const column = depths(ids, flows);
  const last = Math.max(0, ...column.values());
  for (const id of ids) {
    const next = flows.filter((flow) => flow.from === id).map((flow) => flow.to);
    if (next.length === 0) column.set(id, last);
    else if (id.endsWith(":source"))
      column.set(id, Math.max(0, Math.min(...next.map((to) => column.get(to) ?? 1)) - 1));
  }
  return column;
}

/** How often the flows between neighbouring columns cross. */
function crossings(columns: string[][], steps: [string, string][]): number {
  const rank = new Map(columns.flatMap((column) => column.map((id, i) => [id, i] as const)));
  const columnAt = new Map(columns.flatMap((column, i) => column.map((id) => [id, i] as const)));
  const ends = steps.map(([from, to]) => [rank.get(from) ?? 0, rank.get(to) ?? 0] as const);
  let count = 0;
  steps.forEach(([from], i) => {
    for (let j = i + 1; j < steps.length; j += 1) {
      if (columnAt.get(from) !== columnAt.get(steps[j]?.[0] ?? "")) continue;
      const [a, b] = [ends[i] ?? [0, 0], ends[j] ?? [0, 0]];
      if ((a[0] - b[0]) * (a[1] - b[1]) < 0) count += 1;
    }
  });
  return count;
}

type Lane = (id: string) => number;

/** Order one column by the barycentres of its neighbours on the side that was ordered before. */
function pullInto(
  column: string[],
  steps: [string, string][],
  toRight: boolean,
  ranks: Map<string, number>,
  lane: Lane,
): void {
  const pull = new Map(
    column.map((id, i) => {
      const near = steps
        .filter(([from, to]) => (toRight ? to : from) === id)
        .flatMap(([from, to]) => ranks.get(toRight ? from : to) ?? []);
      return [id, near.length > 0 ? mean(near) : (i + 0.5) / column.length] as const;
    }),
  );
  column.sort((a, b) => lane(a) - lane(b) || (pull.get(a) ?? 0) - (pull.get(b) ?? 0));
  column.forEach((id, i) => ranks.set(id, (i + 0.5) / column.length));
}

/** Sweep to and fro from several beginnings; the order with the fewest crossings is the answer. */
function order(columns: string[][], steps: [string, string][], lane: Lane): string[][] {
  let best = columns;
  let fewest = Infinity;
  for (const [isReversed, first] of [
    [false, 0],
    [false, 1],
    [true, 0],
    [true, 1],
  ] as const) {
    const trial = columns.map((column) => {
      const start = isReversed ? column.toReversed() : [...column];
      return start.sort((a, b) => lane(a) - lane(b));
    });
    for (let sweep = first; sweep < SWEEPS && fewest > 0; sweep += 1) {
      const toRight = sweep % 2 === 0;
      const ranks = new Map<string, number>();
      for (const column of toRight ? trial : trial.toReversed())
        pullInto(column, steps, toRight, ranks, lane);
      const count = crossings(trial, steps);
      if (count >= fewest) continue;
      fewest = count;
      best = trial.map((column) => [...column]);
    }
  }
  return best;
}

/** Columns of nodes. A flow that passes a column has a waypoint there: no node stands in its way. */
export function layers(ids: string[], flows: Flow[], lanes: Map<string, number>): Layers {
  const column = columnOf(ids, flows);
  const laneOf = new Map(lanes);
  const last = Math.max(0, ...column.values());
  const columns: string[][] = Array.from({ length: last + 1 }, () => []);
  for (const id of ids) columns[column.get(id) ?? 0]?.push(id);
  const chains = new Map<string, string[]>();
  for (const flow of flows) {
    const [first, end] = [column.get(flow.from) ?? 0, column.get(flow.to) ?? 0];
    if (end <= first) continue;
    const chain = [flow.from];
    for (let at = first + 1; at < end; at += 1) {
      const waypoint = `${flow.id}@${at}`;
      columns[at]?.push(waypoint);
      laneOf.set(waypoint, lanes.get(flow.from) ?? 0);
      chain.push(waypoint);
    }
    chains.set(flow.id, [...chain, flow.to]);
  }
  const steps = [...chains.values()].flatMap((chain) =>
    chain.slice(1).map((id, i): [string, string] => [chain[i] ?? id, id]),
  );
  return { columns: order(columns, steps, (id) => laneOf.get(id) ?? 0), chains, laneOf };
}
