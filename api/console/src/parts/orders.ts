// Orders of a named person about the rows of an OrderList.

export interface Order<Row> {
  key: string;
  label: string;
  hint: string; // what comes of it
  /** Give the order: an empty text when it was accepted, else why not. */
  send: (row: Row, reason: string) => Promise<string>;
  /** Before its form opens; a text is shown above the list. */
  begin?: (row: Row) => Promise<string> | string;
  isAtOnce?: boolean; // has no form
  hasReason?: boolean; // its form asks for one
  isFor?: (row: Row) => boolean; // rows that have it; by default all
  isReady?: () => boolean; // its form may be sent
}
