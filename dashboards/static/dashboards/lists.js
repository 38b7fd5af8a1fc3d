// Lists whose rows are links: selection by keyboard and by the address.
(function () {
  "use strict";
  const rows = () => [...document.querySelectorAll("[data-row]")];
  const list = window.tracestore.walkRows(rows);

  /** Select the next or the previous row that failed or was handed to a person. */
  function moveToTrouble(step) {
    const all = step > 0 ? rows() : rows().reverse();
    const next = all.slice(all.indexOf(list.selected()) + 1).find((row) => row.hasAttribute("data-trouble"));
    list.select(next);
    return Boolean(next);
  }
  window.tracestore.onKey("e", () => moveToTrouble(1));
  window.tracestore.onKey("E", () => moveToTrouble(-1));

  /** What stands before the row that the address names is worth seeing, too. */
  function followAddress() {
    const row = rows().find((one) => one.id && "#" + one.id === location.hash);
    if (!row) return;
    list.select(row);
    row.scrollIntoView({ block: "center" });
  }
  addEventListener("hashchange", followAddress);
  followAddress();
})();
