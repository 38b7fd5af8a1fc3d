// Numbers of steps in words, as templatetags/formatting.py says them, and small elements.
(function () {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";

  function trim(number, decimals) {
    return String(Number(number.toFixed(decimals)));
  }

  /** As duration_ns in templatetags/formatting.py. */
  function duration(ns) {
    if (ns < 1e3) return trim(ns, 0) + "\u00a0ns";
    if (ns < 1e6) return trim(ns / 1e3, 1) + "\u00a0µs";
    if (ns < 1e9) return trim(ns / 1e6, ns < 1e7 ? 1 : 0) + "\u00a0ms";
    if (ns < 59.95e9) return trim(ns / 1e9, ns < 1e10 ? 2 : 1) + "\u00a0s";
    const seconds = Math.round(ns / 1e9);
    if (seconds < 3600) return twoUnits(seconds, 60, "m", 1, "s");
    return seconds < 86400 ? twoUnits(seconds, 3600, "h", 60, "m") : twoUnits(seconds, 86400, "d", 3600, "h");
  }

  /** As duration_cell there: for a column. */
  function durationCell(ns) {
    return ns >= 995e6 && ns < 59.995e9 ? (ns / 1e9).toFixed(2) + "\u00a0s" : duration(ns);
  }

  function twoUnits(seconds, largeS, large, smallS, small) {
    const rest = Math.floor((seconds % largeS) / smallS);
    return [Math.floor(seconds / largeS), large].concat(rest ? [String(rest).padStart(2, "0"), small] : []).join("\u00a0");
  }

  function tokens(number) {
    if (number < 999.5) return String(number);
    return number < 999500 ? trim(number / 1e3, number < 9950 ? 1 : 0) + "k" : trim(number / 1e6, 1) + "M";
  }

  /** As cost_usd in templatetags/formatting.py. */
  function cost(usd) {
    if (usd < 1e-6) return usd ? "<$0.000001" : "$0";
    if (usd >= 1) return "$" + usd.toLocaleString("en-US", { minimumFractionDigits: usd < 1000 ? 2 : 0, maximumFractionDigits: usd < 1000 ? 2 : 0 });
    return "$" + usd.toFixed(usd >= 0.01 ? 3 : [4, 5, 6, 7].find((decimals) => usd * 10 ** decimals >= 9.5));
  }

  /** As cost_cell there: for a column. */
  function costCell(usd) {
    return usd >= 95e-6 && usd < 0.999995 ? "$" + usd.toFixed(5) : cost(usd);
  }

  const count = (number) => number.toLocaleString("en-US");

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function icon(name, className) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "icon " + (className || ""));
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS(SVG, "use");
    use.setAttribute("href", document.getElementById("trace").dataset.icons + "#" + name);
    svg.append(use);
    return svg;
  }

  window.tracestore.words = { duration, durationCell, tokens, cost, costCell, count, element, icon };
})();
