// Lists whose rows are links: selection by keyboard.
(function () {
  "use strict";
  window.tracestore.walkRows(() => [...document.querySelectorAll("[data-row]")]);
})();
