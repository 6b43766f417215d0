// Words as people read them.

/** A sentence that begins with a capital letter and ends with a stop. */
export function sentence(text) {
  const said = String(text || "").trim();
  if (!said) return "";
  return said[0].toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? "" : ".");
}

/** What a halt, a limit or a cancellation is about: `instrument:BTCUSDT` as people say it. */
export function partWords(scope) {
  const [kind, name] = [scope.split(":")[0], scope.slice(scope.indexOf(":") + 1)];
  return kind === scope ? `The whole ${kind}` : `${kind[0].toUpperCase()}${kind.slice(1)} ${name}`;
}
