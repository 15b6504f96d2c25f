// Names of the streams of a balance check for an operator: those of their meters.
import { formatNumber, formatTime } from "../../values/format";
import { t, word } from "../../state/i18n";
import { above, park, plainName, scopes, timezone } from "../../state/model";
import type { BalanceRow, DetectionRow, HeldBackRow, ReconciledStream } from "../../openapi";

const ownerOf = (id: string): string | undefined => above(id, "enterprise")?.id;

/** A node, with its enterprise unless that is the one `scope` is in; `node:meter` is a junction. */
export function placeName(id: string, scope: string): string {
  const [node, meter] = id.split(":");
  if (node && meter) return `${placeName(node, scope)} (${meter})`;
  if (!scopes.value.has(id)) return word(id);
  const owner = ownerOf(id);
  const isPlain = owner === undefined || owner === id || owner === ownerOf(scope);
  return isPlain ? plainName(id) : `${plainName(owner)} ${plainName(id)}`;
}

/** The ends of a stream, with the enterprises if it goes from one to another. */
export function routeName({ from, to }: Pick<ReconciledStream, "from" | "to">, scope: string): string {
  const owners = new Set([from, to].filter((id) => scopes.value.has(id)).map(ownerOf));
  const isLocal = owners.size < 2;
  return [from, to].map((id) => placeName(id, isLocal ? id : scope)).join(" → ");
}

/**
 * The flow tag of a stream, without its enterprise if `scope` is in that one. What is no stream of
 * the model (`node:faraday`, `node:stock`) goes by its node; any other stream by its id.
 */
export function meterName(id: string, scope: string): string {
  const tag = park.value?.streams.find((stream) => stream.id === id)?.flow;
  const own = `${ownerOf(scope)?.split("/").at(-1)}/`;
  if (tag) return tag.startsWith(own) ? tag.slice(own.length) : tag;
  const [, place, kind] = /^(.+):(faraday|stock|loss|unmetered)$/.exec(id) ?? [];
  return place && kind ? `${placeName(place, scope)} (${word(kind)})` : id;
}

/** "A or B; C; a stream from D to E": the suspects, a missing stream first if there is one. */
export const suspectText = (row: BalanceRow, scope: string): string =>
  [
    ...row.missing_streams.map(
      ({ from, to }) => `${t("missingStream")}${placeName(from, scope)} → ${placeName(to, scope)}`,
    ),
    ...row.suspects.map((ids) => ids.map((id) => meterName(id, scope)).join(t("or"))),
  ].join(t("then"));

const signed = (value: number, uom: string): string =>
  `${value > 0 ? "+" : ""}${formatNumber(value)} ${uom}`;

/** "+4.1 t/h", of electricity in MW; and of a drift by how much it grows. */
export function biasText(detection: DetectionRow): string {
  const uom = detection.bias_mw === null ? "t/h" : "MW";
  const bias = signed(detection.bias_mw ?? detection.bias_t_h ?? 0, uom);
  const rate = signed(detection.rate_mw_per_h ?? detection.rate_t_h_per_h ?? 0, uom);
  return detection.shape === "drift" ? `${bias} (${t("drift")} ${rate}/h)` : bias;
}

/** Meters and leaks, most suspect first. */
const suspectsOf = ({ streams, leaks }: DetectionRow, scope: string): string[] => [
  ...streams.map(({ id }) => meterName(id, scope)),
  ...leaks.map((id) => `${t("leakAt")}${placeName(id, scope)}`),
];

/** "Hydrogen: A or B or leak at C" */
export const suspectsText = (detection: DetectionRow, scope: string): string =>
  `${word(detection.component)}${t("colon")}${suspectsOf(detection, scope).join(t("or"))}`;

/** "Hydrogen: A, B": the streams that moved. */
export const heldBackText = ({ component, streams }: HeldBackRow, scope: string): string =>
  `${word(component)}${t("colon")}${streams.map(({ id }) => meterName(id, scope)).join(t("then"))}`;

/** "Hydrogen: since 02:13 A +4.1 t/h? or B": the bias is what the first would show too much. */
export function detectionText(detection: DetectionRow, scope: string): string {
  const clock = formatTime(Date.parse(detection.since), timezone.value, "minute");
  const [first, ...others] = suspectsOf(detection, scope);
  const suspects = [`${first} ${biasText(detection)}?`, ...others].join(t("or"));
  return `${word(detection.component)}${t("colon")}${t("since").replace("{}", clock)} ${suspects}`;
}
