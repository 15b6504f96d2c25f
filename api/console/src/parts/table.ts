// What a DataTable shows: its columns, and its rows as a CSV file.

export type Cell = string | number | boolean | null | undefined;

export interface Column<Row> {
  key: string; // also the name of the slot of its cells: `#key="{ row }"`
  title: string;
  value: (row: Row) => Cell; // what it is sorted and filtered by, and what the CSV file has
  text?: (row: Row) => string; // what is shown, where there is no slot
  isText?: boolean; // stands at the left and may take several lines
  hint?: string;
  isWide?: boolean; // is left out on a small screen
}

/** Numbers by size, texts by the order of the language, what has no value last. */
export function compare(a: Cell, b: Cell): number {
  const isEmpty = [a, b].map((cell) => cell === null || cell === undefined || cell === "");
  if (isEmpty[0] || isEmpty[1]) return Number(isEmpty[0]) - Number(isEmpty[1]);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

const quoted = (cell: Cell): string => {
  const text = cell === null || cell === undefined ? "" : String(cell);
  // A spreadsheet would take such a text for a formula.
  const safe = typeof cell === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

/** The rows as CSV that spreadsheets open: UTF-8 with its mark, one line of titles. */
export function csvOf<Row>(columns: Column<Row>[], rows: Row[]): string {
  const lines = [columns.map((column) => column.title), ...rows.map((row) => columns.map((c) => c.value(row)))];
  return `\uFEFF${lines.map((line) => line.map(quoted).join(",")).join("\r\n")}\r\n`;
}
