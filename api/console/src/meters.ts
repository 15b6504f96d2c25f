// What an operator calls the streams of a balance check: by their meters.
import type { BalanceRow, Naming, ReconciledStream } from "./api";
import { formatNumber, formatTime } from "./format";
import { t, word, type TextKey } from "./i18n";
import { above, park, plainName, scopes, timezone } from "./model";

/** The words of the reasons the server gives in English. */
const REASONS: Record<string, TextKey> = {
  "no measured stream is redundant: there is nothing to check": "unchecked",
  "balances between exactly known flows contradict each other": "contradictory",
  "no convergence: nothing near these measurements closes the balances": "unsettled",
};

export const reasonText = (reason: string): string =>
  Object.hasOwn(REASONS, reason) ? t(REASONS[reason] as TextKey) : reason;

const ownerOf = (id: string): string | undefined => above(id, "enterprise")?.id;

/** A place, with its enterprise unless that is the one `scope` is in. */
export function placeName(id: string, scope: string): string {
  if (!scopes.value.has(id)) return word(id);
  const owner = ownerOf(id);
  const isPlain = owner === undefined || owner === id || owner === ownerOf(scope);
  return isPlain ? plainName(id) : `${plainName(owner)} ${plainName(id)}`;
}

/** Where a stream begins and ends, with the enterprises if it goes from one to another. */
export function routeName({ from, to }: ReconciledStream, scope: string): string {
  const owners = new Set([from, to].filter((id) => scopes.value.has(id)).map(ownerOf));
  const isLocal = owners.size < 2;
  return [from, to].map((id) => placeName(id, isLocal ? id : scope)).join(" → ");
}

/**
 * The flow tag of a stream, without its enterprise if `scope` is in that one. What is no stream of
 * the model (`place:faraday`, `place:stock`) goes by its place; any other stream by its id.
 */
export function meterName(id: string, scope: string): string {
  const tag = park.value?.streams.find((stream) => stream.id === id)?.flow;
  const own = `${ownerOf(scope)?.split("/").at(-1)}/`;
  if (tag) return tag.startsWith(own) ? tag.slice(own.length) : tag;
  const [, place, kind] = /^(.+):(faraday|stock)$/.exec(id) ?? [];
  return place && kind ? `${placeName(place, scope)} (${word(kind)})` : id;
}

/** "A or B; C": the sets of suspects, most suspect first. */
export const suspectText = (row: BalanceRow, scope: string): string =>
  row.suspects
    .map((ids) => ids.map((id) => meterName(id, scope)).join(t("or")))
    .join(t("then"));

export const biasText = ({ bias_t_h: bias }: Naming): string =>
  `${bias > 0 ? "+" : ""}${formatNumber(bias)} t/h`;

/** Who may have changed, most suspect first. */
const suspectsOf = ({ streams, leaks }: Naming, scope: string): string[] => [
  ...streams.map(({ id }) => meterName(id, scope)),
  ...leaks.map((id) => `${t("leakAt")}${placeName(id, scope)}`),
];

/** "A or B or leak at C" */
export const namedText = (naming: Naming, scope: string): string =>
  suspectsOf(naming, scope).join(t("or"));

/** "since 02:13 A +4.1 t/h? or B": the bias is what the first would show too much. */
export function namingText(naming: Naming, scope: string): string {
  const clock = formatTime(Date.parse(naming.since), timezone.value, "minute");
  const [first, ...others] = suspectsOf(naming, scope);
  const suspects = [`${first} ${biasText(naming)}?`, ...others].join(t("or"));
  return `${t("since").replace("{}", clock)} ${suspects}`;
}
