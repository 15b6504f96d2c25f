// What a report is about, as addresses and forms have it.
import { api, outcomeOf } from "../../api";
import { operator } from "../../state/alarms";
import { word } from "../../state/i18n";
import { plainName, scopes } from "../../state/model";
import { r } from "./words";

export const KINDS = ["park", "enterprise", "industry", "shift"] as const;
export type Kind = (typeof KINDS)[number];

export interface Subject {
  kind: Kind;
  path: string; // a scope; of an industry with the product
  period: string;
}

/** The subject of the parts of an address; null where one is missing. */
export function subjectOf(kind: string | null, path: string | null, period: string | null): Subject | null {
  const known = KINDS.find((each) => each === kind);
  return known === undefined || path === null || period === null ? null : { kind: known, path, period };
}

/** Kind, scope and period in words. */
export function titleOf({ kind, path, period }: Subject): string {
  const [, scope = "", product = ""] = /^(.*)\/([^/]*)$/.exec(path) ?? [];
  const about = scopes.value.has(path) ? plainName(path) : `${plainName(scope)} · ${word(product)}`;
  return `${r(kind)} · ${about} · ${period}`;
}

/** Make and keep a report; an empty text, or why not. */
export const keepReport = ({ kind, path, period }: Subject, keep: number | null = null): Promise<string> =>
  outcomeOf(
    api.POST("/api/v1/reports/{kind}/{path}", {
      params: { path: { kind, path } },
      body: { by: operator.value.trim(), period, keep },
    }),
  );
