// The size of the screen, where it decides what is there at all.
import { ref } from "vue";

const small = matchMedia("(max-width: 699px)");

/** On a phone there are the key figures and the alarms, no drawings. */
export const isPhone = ref(small.matches);
small.addEventListener("change", (event) => (isPhone.value = event.matches));
