// Verdicts and missing inputs in the words of a reader.
import { textsOf } from "../state/i18n";
import { sentenceOf } from "./sentence";

const v = textsOf({
  met: ["达标", "met"],
  not_met: ["未达标", "not met"],
  undecided: ["不予判定", "undecided"],
  no_data: ["无数据", "no data"],
  missing: ["缺数据：{}", "No data: {}"],
  comma: ["、", ", "],
  more: [" 等 {} 项", " and {} more"],
  undisclosed: ["按权限不予显示", "withheld from your account"],
});

export type Verdict = "met" | "not_met" | "undecided" | "no_data";

const SHAPE: Record<Verdict, string> = { met: "✓", not_met: "▲", undecided: "?", no_data: "–" };

/** A shape and a word: `▲ not met`; a dash where there is nothing to judge. */
export const verdictText = (verdict: Verdict | null | undefined): string =>
  verdict == null ? "—" : `${SHAPE[verdict]} ${v(verdict)}`;

/** The class of a verdict: only what is abnormal has a colour. */
export const verdictClass = (verdict: Verdict | null | undefined): string =>
  verdict === "not_met" ? "high" : verdict === "met" ? "" : "note";

const MOST = 3;
/** Words of the API for figures that are withheld. */
const WITHHELD = ["above_your_level", "few_members", "one_dominates", "linked"];

/** The first few of `names`, and how many more there are. */
export const few = (names: string[]): string =>
  names.slice(0, MOST).join(v("comma")) + (names.length > MOST ? v("more", names.length - MOST) : "");

/** Whether a figure is there, but not for this account. */
export const isWithheld = (row: { reason?: string | null; undisclosed?: string }): boolean =>
  Boolean(row.undisclosed) || WITHHELD.includes(row.reason ?? "");

/** Why a row has no figure: the inputs that are missing, else the sentence of the API. */
export function whyNot(row: {
  missing?: string[];
  no_data?: string[];
  reason?: string | null;
  undisclosed?: string;
}): string {
  if (isWithheld(row)) return v("undisclosed");
  const inputs = row.no_data?.length ? row.no_data : (row.missing ?? []);
  return inputs.length > 0 ? v("missing", few(inputs.map(sentenceOf))) : sentenceOf(row.reason ?? "");
}
