import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

// `npm run dev` talks to a park that is already running on this machine.
const port = process.env.PARKTWIN_HTTP_PORT ?? "8080";

export default defineConfig({
  plugins: [vue()],
  build: { target: "es2022", assetsDir: "assets" },
  server: { proxy: { "/api": `http://127.0.0.1:${port}` } },
});
