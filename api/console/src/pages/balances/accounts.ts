// The account of each component of a scope in one hour, and what its difference says.
import type { ByproductRow, ChlorineRow } from "../../openapi";
import { lastFull } from "../../api";
import { nowMs } from "../../state/live";
import { formatPercent } from "../../values/format";
import { b } from "./words";

export const COLUMNS = [
  ["made", "make_t", "make_ci_t"],
  ["used", "use_t", "use_ci_t"],
  ["in", "import_t", "import_ci_t"],
  ["out", "export_t", "export_ci_t"],
  ["vented", "vent_t", "vent_ci_t"],
  ["change", "inventory_change_t", "inventory_change_ci_t"],
  ["unaccounted", "unaccounted_t", "unaccounted_ci_t"],
] as const;
type FigureKey = (typeof COLUMNS)[number][1 | 2];

export interface Account {
  component: string;
  start: string;
  end: string;
  figures: Record<FigureKey, number | null>;
  quality: number;
  completeness: number | null;
  missing: string[];
  undisclosed: string;
  reason: string;
  address: string; // of the row
  key: (figure: FigureKey) => string; // its name in the answer
}

interface Asked<Row> {
  data: { items: Row[] };
  address: string;
}

const figuresOf = (row: ByproductRow): Account["figures"] =>
  Object.fromEntries(COLUMNS.flatMap(([, value, half]) => [[value, row[value]], [half, row[half]]])) as Account["figures"];

const CHLORINE_NAMES: Partial<Record<FigureKey, string>> = { make_t: "production_t", use_t: "consumption_t" };

/** Chlorine first, then each medium, of their last full hour. */
export function accountsOf(chlorine: Asked<ChlorineRow>, others: Asked<ByproductRow>): Account[] {
  const accounts: Account[] = [];
  const own = lastFull(chlorine.data.items, nowMs());
  if (own !== undefined)
    accounts.push({
      ...own,
      component: "chlorine",
      figures: figuresOf({
        ...own,
        medium: "chlorine",
        make_t: own.production_t,
        make_ci_t: own.production_ci_t,
        make_completeness: own.production_completeness,
        use_t: own.consumption_t,
        use_ci_t: own.consumption_ci_t,
        use_completeness: own.consumption_completeness,
      }),
      address: `${chlorine.address}#/items/${chlorine.data.items.indexOf(own)}`,
      key: (figure) => CHLORINE_NAMES[figure] ?? figure,
    });
  for (const medium of new Set(others.data.items.map((row) => row.medium))) {
    const row = lastFull(
      others.data.items.filter((each) => each.medium === medium),
      nowMs(),
    );
    if (row === undefined || medium === "chlorine") continue;
    accounts.push({
      ...row,
      component: medium,
      figures: figuresOf(row),
      address: `${others.address}#/items/${others.data.items.indexOf(row)}`,
      key: (figure) => figure,
    });
  }
  return accounts;
}

export type Verdict = "closed" | "gap" | "lacking";

export function verdictOf({ figures }: Account): Verdict {
  const { unaccounted_t: difference, unaccounted_ci_t: half } = figures;
  if (difference === null || half === null) return "lacking";
  return Math.abs(difference) <= half ? "closed" : "gap";
}

const NO_STOCK = "what the tanks hold";
const NOT_COVERED = /^not known: (\d+%)/;

/** Why an account has no difference, in words of the reader. */
export function lackText({ reason, undisclosed }: Account): string {
  if (undisclosed !== "") return b("withheld");
  if (reason.startsWith(NO_STOCK)) return b("noStock");
  const share = NOT_COVERED.exec(reason)?.[1];
  return share === undefined ? reason || b("lacking") : b("notCovered", share);
}

export function verdictText(account: Account): string {
  const verdict = verdictOf(account);
  if (verdict === "lacking") return lackText(account);
  if (verdict === "closed") return b("closed");
  const { make_t: made, import_t: taken, unaccounted_t: difference } = account.figures;
  const total = (made ?? 0) + (taken ?? 0);
  return b("gap", total > 0 ? formatPercent(Math.abs(difference ?? 0) / total, 1) : "—");
}
