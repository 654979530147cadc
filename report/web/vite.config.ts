import { createHash } from "node:crypto";
import { defineConfig, type Plugin } from "vite";

const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

// One file: script and style move into the page, and its content policy names exactly them, so that nothing else runs.
// Replacements are functions, because `$&` in the code would otherwise be expanded.
function onePage(): Plugin {
  return {
    name: "one-page",
    enforce: "post",
    generateBundle(_options, bundle) {
      const files = Object.values(bundle);
      const page = files.find((file) => file.fileName.endsWith(".html"));
      if (page?.type !== "asset" || typeof page.source !== "string") throw new Error("no page was built");
      const script = files
        .filter((file) => file.type === "chunk")
        .map((file) => file.code)
        .join("")
        .trim()
        .replace(/<(\/script|!--)/gi, "\\x3c$1");
      const style = files
        .filter((file) => file.fileName.endsWith(".css"))
        .map((file) => (file.type === "asset" ? String(file.source) : ""))
        .join("")
        .trim();
      const policy = [
        "default-src 'none'",
        `script-src ${hash(script)}`,
        `style-src ${hash(style)}`,
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
      ].join("; ");
      page.source = page.source
        .replace(/\s*<script type="module"[^>]*src=[^>]*><\/script>/, "")
        .replace(/\s*<link rel="stylesheet"[^>]*>/, "")
        .replace(/(<meta charset="utf-8">)/, (meta) => `${meta}\n<meta http-equiv="Content-Security-Policy" content="${policy}">`)
        .replace("</head>", () => `<style>${style}</style>\n</head>`)
        .replace("</body>", () => `<script type="module">${script}</script>\n</body>`);
      for (const file of files) if (file !== page) delete bundle[file.fileName];
    },
  };
}

export default defineConfig({
  plugins: [onePage()],
  build: { target: "es2022", modulePreload: false, cssCodeSplit: false, assetsInlineLimit: 1e9, reportCompressedSize: false },
});
