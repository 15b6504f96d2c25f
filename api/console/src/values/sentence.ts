// The sentences in which an answer gives its reasons, in the language of the reader: by the table of
// the reports, which is loaded with the first Chinese one.
import { shallowRef } from "vue";
import { lang } from "../state/i18n";

interface Table {
  words: Record<string, [string, string]>;
  sentence: { en: string; zh: string; plain?: string }[];
}

interface Rule {
  form: RegExp;
  zh: string;
  plain?: string;
}

// What stands between two reasons: tables that lack are listed in one.
const BETWEEN = /; |, (?=\S+ of \S+: the table of )|, (?=\S+ in \d{4}(?:,|;|$))/;

const table = shallowRef<{ words: Table["words"]; rules: Rule[] }>();
let coming: Promise<void> | undefined;

async function load(): Promise<void> {
  const { words, sentence } = (await import("../../../reports/words.toml")).default as Table;
  const rules = sentence.map(({ en, ...texts }) => ({ form: new RegExp(`^(?:${en})$`), ...texts }));
  table.value = { words, rules };
}

const filled = (text: string, parts: string[]): string =>
  text.replace(/\{(\d)\}/g, (_, at: string) => parts[Number(at)] ?? "");

function one(text: string): string {
  const known = table.value;
  if (known === undefined) return text;
  const inChinese = (part: string): string => known.words[part]?.[0] ?? part;
  for (const { form, zh, plain } of known.rules) {
    const match = form.exec(text);
    if (match === null) continue;
    const parts = match.slice(1).map((part) => part ?? "");
    return lang.value === "zh" ? filled(zh, parts.map(inChinese)) : filled(plain ?? text, parts);
  }
  return lang.value === "zh" ? inChinese(text) : text;
}

/** Reasons of an answer; a sentence without a translation as it is. */
export function sentenceOf(text: string): string {
  if (text === "") return "";
  coming ??= load();
  return [...new Set(text.split(BETWEEN))].map(one).join(lang.value === "zh" ? "；" : "; ");
}
