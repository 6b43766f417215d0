// Words as people read them.

/** A sentence that begins with a capital letter and ends with a stop. */
export function sentence(text) {
  const said = String(text || "").trim();
  if (!said) return "";
  return said[0].toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? "" : ".");
}
