// Lists whose rows are links: selection by keyboard, long texts.
(function () {
  "use strict";
  window.tracestore.walkRows(() => [...document.querySelectorAll("[data-row]")]);

  document.addEventListener("click", (event) => {
    const unfold = event.target.closest("[data-unfold]");
    if (!unfold) return;
    const folded = unfold.closest("[data-text]").classList.toggle("text--folded");
    unfold.textContent = folded ? "Show all" : "Show less";
  });
})();
