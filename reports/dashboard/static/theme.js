// Light or dark: as TensorBoard around the page, or as the system where the page stands alone.

/** Keep `data-theme` of the document in step with what surrounds it. */
export function followTheme() {
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const outer = outerBody();
  const isDark = () => (outer === null ? prefersDark.matches : outer.classList.contains("dark-mode"));
  const apply = () => {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  };
  if (outer !== null) new MutationObserver(apply).observe(outer, { attributeFilter: ["class"] });
  prefersDark.addEventListener("change", apply);
  apply();
}

/** TensorBoard's body; null where the page is its own window, or in a frame of somebody else's. */
function outerBody() {
  try {
    return window.parent === window ? null : window.parent.document.body;
  } catch {
    return null;
  }
}
