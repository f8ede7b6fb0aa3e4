import { defineConfig } from "vite";

// `npm run dev` serves the sources with reload and passes everything else on to a running server.
const server = process.env.HOLDFAST_ADMIN ?? "http://127.0.0.1:9070";

export default defineConfig({
  base: "/ui/",
  build: {
    outDir: "../src/holdfast/admin/ui_dist",
    emptyOutDir: true,
    target: "es2022",
    // Inlined files would be data: addresses, which the content security policy refuses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    proxy: {
      "^/(invocations|events|services|deployments|version|health)(/|\\?|$)": { target: server },
    },
  },
});
