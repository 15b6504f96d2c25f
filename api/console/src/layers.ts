// Which column a node stands in (graph depth), and in what order within it (barycentre).

export interface Flow {
  id: string;
  from: string;
  to: string;
}

const SWEEPS = 4;

export const mean = (values: number[]): number =>
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

/** The nodes of each column, top to bottom. Outside sinks stand last, outside sources before use. */
export function layers(ids: string[], flows: Flow[]): string[][] {
  const depth = depths(ids, flows);
  const last = Math.max(0, ...depth.values());
  for (const id of ids) {
    if (id.endsWith(":sink")) depth.set(id, last);
    if (!id.endsWith(":source")) continue;
    const next = flows.filter((flow) => flow.from === id).map((flow) => depth.get(flow.to) ?? 1);
    depth.set(id, Math.max(0, Math.min(...next) - 1));
  }
  const columns: string[][] = Array.from({ length: last + 1 }, () => []);
  for (const id of ids) columns[depth.get(id) ?? 0]?.push(id);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const rank = new Map(
      columns.flatMap((column) => column.map((id, i) => [id, (i + 0.5) / column.length] as const)),
    );
    const rankOf = (id: string): number => rank.get(id) ?? 0;
    const near = (id: string): string[] =>
      flows.flatMap(({ from, to }) => (from === id ? [to] : to === id ? [from] : []));
    for (const column of columns) {
      const pull = new Map(
        column.map((id) => [id, mean([rankOf(id), ...near(id).map(rankOf)])] as const),
      );
      column.sort((a, b) => (pull.get(a) ?? 0) - (pull.get(b) ?? 0));
    }
  }
  return columns;
}
