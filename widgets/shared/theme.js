// Light or dark: what the trait says, or what the page looks like. Colours that the system forces come before both.

const DARK = "(prefers-color-scheme: dark)"; // where colours are forced, whether the paper is
const FORCED = "(forced-colors: active)";
const holds = (query) => matchMedia(query).matches;

export const forced = () => holds(FORCED);

/** @param {"auto" | "light" | "dark"} wish @returns {"light" | "dark"} */
export function resolve(wish, element) {
  if (forced()) return holds(DARK) ? "dark" : "light";
  if (wish === "light" || wish === "dark") return wish;
  const jupyter = document.body?.dataset.jpThemeLight;
  if (jupyter) return jupyter === "false" ? "dark" : "light";
  const editor = document.body?.dataset.vscodeThemeKind;
  if (editor) return /dark|high-contrast$/.test(editor) ? "dark" : "light";
  const seen = behind(element);
  if (seen !== null) return seen < 0.4 ? "dark" : "light";
  return holds(DARK) ? "dark" : "light";
}

/** Lightness (0 to 1) of the first background that is not transparent, or null. */
function behind(element) {
  for (let at = element; at; at = at.parentElement) {
    const [r, g, b, a = 1] = (getComputedStyle(at).backgroundColor.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    if (a > 0.5) return (0.3 * r + 0.6 * g + 0.1 * b) / 255;
  }
  return null;
}

/** Calls back when the page changes its looks. Returns what ends it. */
export function watch(callback) {
  const observer = new MutationObserver(callback);
  const attributeFilter = ["class", "style", "data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind"];
  for (const element of [document.documentElement, document.body]) {
    observer.observe(element, { attributes: true, attributeFilter });
  }
  const queries = [DARK, FORCED].map((query) => matchMedia(query));
  for (const query of queries) query.addEventListener("change", callback);
  return () => {
    observer.disconnect();
    for (const query of queries) query.removeEventListener("change", callback);
  };
}
