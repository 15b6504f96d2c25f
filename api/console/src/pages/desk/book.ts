// Values of the books as text.
import type { BookValue } from "../../openapi";
import { formatNumber, formatUom } from "../../values/format";
import { d } from "./words";

/** A period as the books have it; an instant without its zero hours. */
export const periodOf = (row: BookValue): string => row.period.replace(/T00:00:00.*$/, "");

export const valueOf = (row: BookValue): string =>
  row.date ?? `${formatNumber(row.entered)} ${formatUom(row.entered_uom)}`;

export const statusOf = (row: BookValue): string =>
  !row.newest && !row.stands ? d("superseded") : d(row.status);
