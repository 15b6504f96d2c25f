// The figure whose explanation is open. Figure.vue sets it, the drawer of the frame shows it.
import { ref } from "vue";

/** Addresses of figures, the one that is shown last: `/api/v1/…?…#/items/0/value`. */
export const explained = ref<string[]>([]);

/** Open the explanation of a figure; that of an input comes above the one it was opened from. */
export const explain = (figure: string): void => void explained.value.push(figure);

/** The address of the newest sample of a tag as a figure. */
export const figureOfTag = (tag: string): string =>
  `/api/v1/latest?tag=${encodeURIComponent(tag)}#/items/0/value`;
