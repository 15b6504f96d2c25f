// The targets of the scope of the address, for the tabs that show them.
import { answerOf, api } from "../../api";
import type { TargetRow } from "../../openapi";
import { useAnswer } from "../../state/answer";
import { selectedScope } from "../../state/model";
import { formatNumber, formatUom } from "../../values/format";

export const useTargets = () =>
  useAnswer(
    () => selectedScope.value,
    (scope, signal) => answerOf(api.GET("/api/v1/targets", { params: { query: { scope } }, signal })),
  );

/** `≥ 85 %`: a goal with its sense, and its tolerance where it has one. */
export function goalText(row: TargetRow): string {
  if (row.goal === null) return "—";
  const goal = formatNumber(row.goal, Number.isInteger(row.goal) ? 0 : undefined);
  const tolerance = row.tolerance > 0 ? ` (± ${formatNumber(row.tolerance, 0)})` : "";
  return `${row.sense === "at_least" ? "≥" : "≤"} ${goal}${tolerance} ${unitOf(row.uom)}`;
}

/** A unit as it is read; a mere count has none. */
export const unitOf = (uom: string): string => (uom === "1" ? "" : formatUom(uom));

/** The limit that a value is compared with: the goal and its tolerance. */
export const marksOf = (row: TargetRow): { value: number; label: string }[] =>
  row.limit === null ? [] : [{ value: row.limit, label: goalText(row) }];
