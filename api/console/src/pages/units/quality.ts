// The quality of a value as a sentence of words: severity, and the reason where there is one.
import { t } from "../../state/i18n";
import { isBad, markOf, reasonOf } from "../../values/quality";
import { u } from "./words";

export function qualityText(quality: number | undefined): string {
  if (quality === undefined) return u("none");
  const severity = isBad(quality) ? "bad" : markOf(quality) === "none" ? "good" : "uncertain";
  const reason = t(reasonOf(quality));
  return reason === "" ? u(severity) : `${u(severity)} · ${reason}`;
}
