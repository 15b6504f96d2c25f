// The geometry of stacked bars.

export interface Stack {
  key: string;
  label: string;
  values: (number | null)[]; // one for each bar; null is no value, not zero
  colour: string; // a variable of style.css
}

export interface Segment {
  label: string;
  value: number;
  colour: string;
  top: number; // share of the plot, from above
  height: number;
}

const NICE = [1, 2, 2.5, 5, 10];

/** The least step that divides `span` into at most `count` parts and is easy to read. */
function stepOf(span: number, count: number): number {
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  return (NICE.find((nice) => nice * power >= raw) ?? 10) * power;
}

/** Ends of the axis, and the ticks between them. */
export function axisOf(stacks: Stack[], limit: number | null): { low: number; high: number; ticks: number[] } {
  const count = Math.max(0, ...stacks.map((stack) => stack.values.length));
  let [low, high] = [0, limit ?? 0];
  for (let at = 0; at < count; at += 1) {
    const values = stacks.map((stack) => stack.values[at] ?? 0);
    high = Math.max(high, values.filter((value) => value > 0).reduce((sum, value) => sum + value, 0));
    low = Math.min(low, values.filter((value) => value < 0).reduce((sum, value) => sum + value, 0));
  }
  if (high === low) high = low + 1;
  const step = stepOf(high - low, 4);
  const first = Math.ceil(low / step);
  const last = Math.ceil(high / step);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  return { low: Math.min(low, first * step), high: last * step, ticks };
}

/** The segments of one bar: what is positive above the zero line, what is negative below it. */
export function segmentsOf(stacks: Stack[], at: number, low: number, high: number): Segment[] {
  const span = high - low;
  let [up, down] = [0, 0];
  return stacks.flatMap(({ label, colour, values }) => {
    const value = values[at];
    if (value === null || value === undefined || value === 0) return [];
    const [from, to] = value > 0 ? [up, (up += value)] : [(down += value), down - value];
    return { label, value, colour, top: (high - to) / span, height: (to - from) / span };
  });
}
