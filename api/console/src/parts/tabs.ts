// Which subject of a page its address names.
import { parameter } from "../state/address";

export interface Tab {
  id: string;
  title: string;
}

/** The tab of the address; the first one where it names none of them. */
export const tabOf = (tabs: readonly Tab[]): string =>
  tabs.find((tab) => tab.id === parameter("tab"))?.id ?? tabs[0]?.id ?? "";
