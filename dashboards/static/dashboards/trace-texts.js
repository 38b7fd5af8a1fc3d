// The views of the trace page that the server writes: what of the transcript and the log records lies in the chosen part of the time,
// which records are the selected step's, and the text around that step in the tab Raw.
(function () {
  "use strict";

  const T = window.tracestore.trace;
  const { page, placeOf, inRange, writeAddress } = T;

  // --- Transcript and Logs --------------------------------------------------------------------------------------------

  /** In views of the server: what did not run in the chosen part of the time is hidden. */
  function hideOutside() {
    page.querySelectorAll("#view-transcript [data-span-id], #view-logs [data-span-id]").forEach((marked) => {
      const index = placeOf(marked.dataset.spanId);
      (marked.closest(".log") || marked).classList.toggle("is-outside", index >= 0 && !inRange(index));
    });
  }

  /** In the tab Logs: each record says its step, and those of the selected one are marked; `scroll` brings the first of them in. */
  function markRecords(scroll) {
    let first = null;
    page.querySelectorAll("#view-logs .log").forEach((record) => {
      const spanId = record.querySelector("a[data-span-id]")?.dataset.spanId;
      const place = spanId ? placeOf(spanId) : -1;
      const isOn = Boolean(spanId) && spanId === T.selectedId;
      const name = record.querySelector(".log__step");
      if (place >= 0 && !name.textContent) name.textContent = T.tree.strings[T.tree.name[place]];
      record.classList.toggle("log--selected", isOn);
      if (isOn) first ??= record;
    });
    if (first && scroll) bringIn(first);
  }

  document.addEventListener("trace:range", hideOutside);
  document.addEventListener("trace:selected", () => { if (T.tree) markRecords(!document.activeElement?.closest("#view-logs")); });

  page.addEventListener("htmx:afterSettle", () => {
    if (!T.tree) return;
    if (T.range) hideOutside();
    markRecords(false);
  });

  // The record opened last in the tab Logs stands in the address.
  document.getElementById("view-logs").addEventListener("toggle", (event) => {
    const { record } = event.target.dataset;
    if (!record) return;
    if (event.target.open) writeAddress("record", record);
    else if (new URL(location.href).searchParams.get("record") === record) writeAddress("record", null);
  }, true);

  // --- Raw: the text around the selected step, once it has stayed selected for a moment --------------------------------

  const raw = document.getElementById("view-raw");
  let rawTimer = 0;
  let rawId = null; // the step whose text was asked for

  function showRaw() {
    clearTimeout(rawTimer);
    if (raw.hidden || rawId === T.selectedId) return;
    rawTimer = setTimeout(() => {
      rawId = T.selectedId;
      raw.dispatchEvent(new CustomEvent("stepshown"));
    }, rawId === null ? 0 : 150);
  }

  raw.addEventListener("viewshown", showRaw);
  document.addEventListener("trace:selected", showRaw);
  raw.addEventListener("htmx:configRequest", (event) => {
    const { parameters } = event.detail;
    if (T.selectedId) parameters.span = T.selectedId;
    const form = raw.querySelector("[data-form]")?.dataset.form || new URL(location.href).searchParams.get("format");
    if (event.target === raw && form) parameters.format = form;
  });
  raw.addEventListener("htmx:afterSwap", () => {
    const form = raw.querySelector("[data-form]")?.dataset.form;
    if (form !== "otlp" || new URL(location.href).searchParams.has("format")) writeAddress("format", form);
    const own = document.getElementById("raw-step");
    if (own) bringIn(own);
  });

  function bringIn(marked) {
    const view = marked.closest(".view");
    const [box, room] = [marked, view].map((element) => element.getBoundingClientRect());
    if (box.top < room.top || box.bottom > room.bottom) view.scrollTop += box.top - room.top - room.height / 3; // and not the page
  }

  T.add({ ready() { markRecords(true); } }); // the records may have come before the steps
})();
