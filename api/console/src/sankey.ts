// A layered flow diagram: boxes as high as their flow, bands as wide as theirs.
import { mean, type Flow } from "./layers";

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
  label: number; // room for a label right of a box
  line: number; // least distance between the middles of two boxes
}

export interface Drawing {
  boxes: Box[];
  bands: Band[];
  scale: number; // pixels per unit of flow
}

export const BOX = 12;
const THIN = 2; // width of a band without a value
const GAP = 14;
const STEP = 0.85;
const SWEEPS = 8;
const SHARE = 0.42; // of the height, for the largest box

const middle = (box: Box): number => box.y + box.height / 2;
const slotOf = (height: number, size: Size): number => Math.max(height + GAP, size.line);
const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);

/** The largest step of scale at which every column fits; the former one is kept if it is close. */
function scaleFor(
  columns: string[][],
  load: Map<string, number>,
  size: Size,
  former: number,
): number {
  const fits = (scale: number): boolean =>
    columns.every(
      (column) => sum(column.map((id) => slotOf((load.get(id) ?? 0) * scale, size))) <= size.height,
    );
  if (former > 0 && fits(former) && !fits(former / STEP ** 2)) return former;
  let scale = (SHARE * size.height) / Math.max(1e-9, ...load.values());
  for (let i = 0; i < 40 && !fits(scale); i += 1) scale *= STEP;
  return scale;
}

/** Put the boxes of a column near where `pull` wants their middles, in order and apart. */
function settle(column: Box[], pull: (box: Box) => number, size: Size): void {
  let edge = 0;
  for (const box of column) {
    const half = slotOf(box.height, size) / 2;
    const at = Math.max(edge + half, pull(box));
    box.y = at - box.height / 2;
    edge = at + half;
  }
  edge = size.height;
  for (const box of column.toReversed()) {
    const half = slotOf(box.height, size) / 2;
    const at = Math.min(middle(box), edge - half);
    box.y = at - box.height / 2;
    edge = at - half;
  }
}

/** A band from the right of `a` to the left of `b`; one that runs back passes below the others. */
function bandPath(a: Box, b: Box, ya: number, yb: number, floor: number): string {
  const [from, to] = [a.x + BOX, b.x];
  if (b.column > a.column) {
    const bend = (to - from) / 2;
    return `M${from},${ya}C${from + bend},${ya} ${to - bend},${yb} ${to},${yb}`;
  }
  const [right, left] = [from + 60, to - 60];
  return `M${from},${ya}C${right},${ya} ${right},${floor} ${from},${floor}L${to},${floor}C${left},${floor} ${left},${yb} ${to},${yb}`;
}

/** Draw the flows `valueOf` (null: no value, drawn thin) between the boxes of `columns`. */
export function place(
  columns: string[][],
  flows: Flow[],
  valueOf: (id: string) => number | null,
  size: Size,
  former: number,
): Drawing {
  const amount = (flow: Flow): number => Math.abs(valueOf(flow.id) ?? 0);
  const into = new Map(columns.flat().map((id) => [id, flows.filter((flow) => flow.to === id)]));
  const outOf = new Map(columns.flat().map((id) => [id, flows.filter((flow) => flow.from === id)]));
  const sides = (id: string): [Flow[], Flow[]] => [into.get(id) ?? [], outOf.get(id) ?? []];
  const load = new Map(
    columns.flat().map((id) => [id, Math.max(...sides(id).map((side) => sum(side.map(amount))))]),
  );
  const scale = scaleFor(columns, load, size, former);
  const pitch = (size.width - BOX - size.label) / Math.max(1, columns.length - 1);
  const boxes = columns.map((ids, column) =>
    ids.map((id, i) => {
      const height = Math.max(8, (load.get(id) ?? 0) * scale);
      return { id, column, x: column * pitch, y: (size.height * (i + 0.5)) / ids.length, height };
    }),
  );
  const at = new Map(boxes.flat().map((box) => [box.id, box]));
  const pull = (box: Box): number => {
    const [arriving, leaving] = sides(box.id);
    const ends = [...arriving.map((flow) => flow.from), ...leaving.map((flow) => flow.to)];
    return mean([middle(box), ...ends.flatMap((end) => at.get(end) ?? []).map(middle)]);
  };
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const ordered = sweep % 2 === 0 ? boxes : boxes.toReversed();
    for (const column of ordered) settle(column, pull, size);
  }
  const top = Math.min(...boxes.flat().map((box) => box.y));
  const bottom = Math.max(...boxes.flat().map((box) => box.y + box.height));
  for (const box of boxes.flat()) box.y += (size.height - bottom - top) / 2;

  const widthOf = (flow: Flow): number => Math.max(THIN, amount(flow) * scale);
  const port = (box: Box, side: Flow[], flow: Flow, far: "from" | "to"): number => {
    const sorted = side.toSorted((a, b) => (at.get(a[far])?.y ?? 0) - (at.get(b[far])?.y ?? 0));
    const before = sum(sorted.slice(0, sorted.indexOf(flow)).map(widthOf));
    const margin = Math.max(0, box.height - sum(side.map(widthOf))) / 2;
    return box.y + margin + before + widthOf(flow) / 2;
  };
  const bands = flows.flatMap((flow) => {
    const [a, b] = [at.get(flow.from), at.get(flow.to)];
    if (a === undefined || b === undefined) return [];
    const ya = port(a, sides(a.id)[1], flow, "to");
    const yb = port(b, sides(b.id)[0], flow, "from");
    const floor = size.height - widthOf(flow) / 2 - 1;
    return [{ id: flow.id, width: widthOf(flow), path: bandPath(a, b, ya, yb, floor) }];
  });
  return { boxes: boxes.flat(), bands, scale };
}
