// Dark, light, or as the system says; `--…` of style.css follow.
import { computed, ref, watchEffect } from "vue";
import { keep, kept } from "./kept";

export const THEMES = ["auto", "dark", "light"] as const;
export type Theme = (typeof THEMES)[number];

const isTheme = (text: string | null): text is Theme => THEMES.includes(text as Theme);
const remembered = kept("theme");

export const theme = ref<Theme>(isTheme(remembered) ? remembered : "auto");

const system = matchMedia("(prefers-color-scheme: light)");
const isSystemLight = ref(system.matches);
system.addEventListener("change", (event) => (isSystemLight.value = event.matches));

/** What is shown: drawings on a canvas read their colours anew when it changes. */
export const isLight = computed(() =>
  theme.value === "auto" ? isSystemLight.value : theme.value === "light",
);

watchEffect(() => {
  document.documentElement.dataset.theme = isLight.value ? "light" : "dark";
});

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "auto";
  keep("theme", theme.value);
}

/** A colour of style.css, such as `--warn`, for a canvas. */
export const colour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();
