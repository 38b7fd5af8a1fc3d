// Values that differ, hundreds of them with three links each: every field is one stop for Tab, arrow keys go on from there.
(function () {
  "use strict";
  const linksOf = (value) => [...value.querySelectorAll("a")];

  function makeStops() {
    document.querySelectorAll(".why__group:not([data-stop])").forEach((group) => {
      group.dataset.stop = "";
      group.querySelectorAll(".why__value a").forEach((link, place) => link.setAttribute("tabindex", place ? "-1" : "0"));
    });
  }

  /** The link that a key leads to: undefined for another key, or where the field ends. */
  function neighbour(link, key) {
    const value = link.closest(".why__value");
    const values = [...value.parentElement.querySelectorAll(":scope > .why__value")].filter((one) => one.checkVisibility());
    const [row, column] = [values.indexOf(value), linksOf(value).indexOf(link)];
    if (key === "ArrowLeft" || key === "ArrowRight") return linksOf(value)[column + (key === "ArrowRight" ? 1 : -1)];
    const next = { ArrowDown: row + 1, ArrowUp: row - 1, Home: 0, End: values.length - 1 }[key];
    return values[next] && linksOf(values[next])[column];
  }

  document.addEventListener("keydown", (event) => {
    const link = event.target.closest(".why__value a");
    if (!link || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (!["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    neighbour(link, event.key)?.focus();
  });
  // Tab comes back to where it left, wherever the focus came from.
  document.addEventListener("focusin", (event) => {
    const link = event.target.closest(".why__value a");
    if (!link) return;
    link.closest(".why__group").querySelectorAll('a[tabindex="0"]').forEach((other) => other.setAttribute("tabindex", "-1"));
    link.setAttribute("tabindex", "0");
  });
  document.addEventListener("htmx:afterSettle", makeStops);
  makeStops();
})();
