// The transcript: marks the card of the selected step, and brings in the part of the story that holds it when that is not there.
(function () {
  "use strict";

  let selected = "";
  let asked = "";
  let isOnItsWay = false;

  function story() { return document.getElementById("transcript"); }

  /** The card of a step, else the one of the nearest step above it: details and plumbing have none. */
  function findCard(id) {
    const seen = new Set();
    for (let at = id; at && !seen.has(at); at = window.tracestore.trace.parentOf(at)) {
      seen.add(at);
      const card = story().querySelector('[data-span-id="' + CSS.escape(at) + '"]');
      if (card) return card;
    }
    return null;
  }

  function isShown() { return story() !== null && story().offsetParent !== null; }

  function mark({ scroll }) {
    if (!isShown() || !selected) return;
    story().querySelectorAll("[aria-current]").forEach((card) => card.removeAttribute("aria-current"));
    const card = findCard(selected);
    const exact = card !== null && card.dataset.spanId === selected;
    if (card) card.setAttribute("aria-current", exact ? "step" : "true");
    if (card && scroll) card.scrollIntoView({ block: "nearest" });
    // A card that stands for all the rest is no place: what was looked for is further down, or in a group that is closed.
    if ((!card || (!exact && card.matches(".frame__role"))) && asked !== selected && !isOnItsWay) bringIn(selected);
  }

  /** One at a time: each replaces the story, and a second one would no longer find what it is to replace. */
  async function bringIn(id) {
    asked = id;
    isOnItsWay = true;
    try {
      await window.htmx.ajax("GET", story().dataset.url + "?span=" + encodeURIComponent(id), { target: "#transcript", swap: "outerHTML" });
    } catch {
      // No network, which the page says.
    }
    isOnItsWay = false;
    mark({ scroll: true }); // which may be another step by now
  }

  document.addEventListener("trace:selected", (event) => {
    selected = event.detail.spanId;
    mark({ scroll: true });
  });
  document.addEventListener("viewshown", () => mark({ scroll: true }), true);
  document.addEventListener("htmx:afterSwap", (event) => {
    const { target } = event.detail;
    if (story() && (story().contains(target) || target.contains(story()))) mark({ scroll: target.id === "transcript" || asked === selected });
  });
})();
