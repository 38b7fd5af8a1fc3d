// Lists whose rows are links: selection by keyboard, long texts.
(function () {
  "use strict";
  const { onKey } = window.tracestore;
  let selected = null;

  function select(row) {
    if (!row) return;
    if (selected) selected.removeAttribute("aria-selected");
    selected = row;
    row.setAttribute("aria-selected", "true");
    row.querySelector("a").focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  function move(step) {
    const all = [...document.querySelectorAll("[data-row]")];
    const at = all.indexOf(selected);
    select(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))]);
  }

  onKey("j", () => move(1));
  onKey("k", () => move(-1));
  onKey("Enter", (event) => {
    if (!selected || event.target.closest("a, button, summary")) return false; // the focused thing does it itself
    selected.querySelector("a").click();
    return true;
  });
  onKey("r", () => location.reload());

  document.addEventListener("click", (event) => {
    const unfold = event.target.closest("[data-unfold]");
    if (!unfold) return;
    const folded = unfold.closest("[data-text]").classList.toggle("text--folded");
    unfold.textContent = folded ? "Show all" : "Show less";
  });
})();
