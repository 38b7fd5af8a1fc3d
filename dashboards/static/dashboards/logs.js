// The list of log records: selection by keyboard. The record opened last stands in the address.
(function () {
  "use strict";
  const { onKey } = window.tracestore;
  const list = document.getElementById("logs");
  onKey("r", () => location.reload());
  if (!list) return; // nothing matches

  function current() {
    return document.activeElement && document.activeElement.closest("[data-log]");
  }

  function move(step) {
    const records = [...list.querySelectorAll("[data-log]")];
    const at = records.indexOf(current());
    const next = records[at < 0 ? (step > 0 ? 0 : records.length - 1) : Math.min(records.length - 1, Math.max(0, at + step))];
    next.querySelector("summary").focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  onKey("j", () => move(1));
  onKey("k", () => move(-1));
  onKey("o", () => {
    const link = current() && current().querySelector("[data-trace-link]");
    if (!link) return false;
    link.click();
    return true;
  });

  const page = list.closest(".page");
  page.addEventListener("toggle", (event) => {
    const record = event.target.closest("[data-log]");
    if (!record) return;
    const url = new URL(location.href);
    if (record.open) url.searchParams.set("record", record.dataset.log);
    else if (url.searchParams.get("record") === record.dataset.log) url.searchParams.delete("record");
    history.replaceState(null, "", url);
  }, true);
  const named = page.querySelector("[data-log][open]");
  if (named) named.scrollIntoView({ block: "nearest" });
})();
