import vue from "@vitejs/plugin-vue";
import { parse } from "smol-toml";
import { defineConfig } from "vite";

// `npm run dev` talks to a park that is already running on this machine.
const port = process.env.PARKTWIN_HTTP_PORT ?? "8080";

// Styles are written in pixels of a screen of 1920 × 1080 and follow the size of the letters: on a wall
// of 3840 × 2160 all of it is twice as large. Lines stay lines.
const ROOT_PX = 16;
const LINE_PX = 2;
const scaled = {
  postcssPlugin: "scaled",
  Declaration(declaration: { value: string }) {
    declaration.value = declaration.value.replace(/(\d*\.?\d+)px/g, (text, px: string) =>
      Number(px) > LINE_PX ? `${Number(px) / ROOT_PX}rem` : text,
    );
  },
};

// Tables of words that reports have as well.
const toml = {
  name: "toml",
  transform(content: string, file: string) {
    if (!file.endsWith(".toml")) return;
    return { code: `export default ${JSON.stringify(parse(content))}`, map: null };
  },
};

export default defineConfig({
  plugins: [vue(), toml],
  css: { postcss: { plugins: [scaled] } },
  build: {
    target: "es2022",
    assetsDir: "assets",
    // A page is few files: what several pages have is one.
    rolldownOptions: {
      output: { codeSplitting: { groups: [{ name: "parts", minShareCount: 2 }] } },
    },
  },
  server: { proxy: { "/api": `http://127.0.0.1:${port}` } },
});
