// Sums of amounts over windows that were asked for one by one.
import { INCOMPLETE, worse } from "./quality";

const WHOLE = 0.99; // below it a sum is uncertain, as in the answers of the API

interface Window {
  start: string;
  end: string;
  completeness: number | null;
  quality: number;
}

export interface Sum {
  value: number | null; // of what was measured; null where nothing was
  half: number | null; // half width of 95 %, the windows erring alike: not less than it is
  completeness: number; // share of the time that the sum has data of
  quality: number;
}

/** The sum of an amount over `rows`, next to its completeness: a window without a value adds no data. */
export function sumOf<Row extends Window>(
  rows: Row[],
  valueOf: (row: Row) => number | null,
  halfOf: (row: Row) => number | null,
): Sum {
  const known = rows.filter((row) => valueOf(row) !== null);
  const add = (of: (row: Row) => number | null): number =>
    known.reduce((sum, row) => sum + (of(row) ?? 0), 0);
  const lengthOf = (row: Row): number => Date.parse(row.end) - Date.parse(row.start);
  const length = rows.reduce((sum, row) => sum + lengthOf(row), 0);
  const covered = add((row) => lengthOf(row) * (row.completeness ?? 0));
  const completeness = length > 0 ? covered / length : 0;
  const quality = known.reduce((worst, row) => worse(worst, row.quality), 0);
  return {
    value: known.length > 0 ? add(valueOf) : null,
    half: known.length > 0 && known.every((row) => halfOf(row) !== null) ? add(halfOf) : null,
    completeness,
    quality: completeness < WHOLE ? worse(quality, INCOMPLETE) : quality,
  };
}
