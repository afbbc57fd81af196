// Bundles each widget into gmmlab/widgets/static: one module and one style sheet, the same bytes every time.
//   node build.mjs           writes them
//   node build.mjs --check   compares them with what is there, and fails when they differ
import { readFile, writeFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "gmmlab", "widgets", "static");
const widgets = ["explorer", "chart"];

/** Every output of one widget as [name, text]. */
async function bundle(name) {
  const result = await build({
    absWorkingDir: here,
    entryPoints: { [name]: `${name}/index.js`, [`${name}-style`]: `${name}/style.css` },
    outdir: target,
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: ["es2022"],
    charset: "utf8",
    legalComments: "none",
    logLevel: "warning",
  });
  return result.outputFiles.map((file) => {
    const css = file.path.endsWith(".css");
    return [css ? `${name}.css` : `${name}.js`, file.text];
  });
}

const outputs = (await Promise.all(widgets.map(bundle))).flat();
if (process.argv.includes("--check")) {
  const stale = [];
  for (const [name, text] of outputs) {
    const found = await readFile(join(target, name), "utf8").catch(() => "");
    if (found !== text) stale.push(name);
  }
  if (stale.length) {
    console.error(`${stale.join(", ")} differ from their sources: run "npm run build" in widgets/.`);
    process.exit(1);
  }
  console.log(`${outputs.length} bundled files equal their sources.`);
} else {
  await mkdir(target, { recursive: true });
  for (const [name, text] of outputs) {
    await writeFile(join(target, name), text);
    console.log(`${name}  ${(Buffer.byteLength(text) / 1000).toFixed(1)} kB`);
  }
}
