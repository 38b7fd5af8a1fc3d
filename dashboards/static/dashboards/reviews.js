// Reviews of a run: sent to the API for scores as any program would, which stores them a moment later than it answers.
(function () {
  "use strict";
  const { onKey, show } = window.tracestore;
  const menu = document.getElementById("review-menu");
  if (!menu) return; // who looks may change nothing
  const T = window.tracestore.trace;
  const form = menu.querySelector("form");
  const { trace, reader, scores: url } = form.dataset;
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const [WAIT_MS, MOST_WAITS] = [300, 40];

  async function ask(address, method, body) {
    const headers = { "Content-Type": "application/json", "X-CSRFToken": token };
    const answer = await fetch(address, { method, headers, credentials: "same-origin", body: body && JSON.stringify(body) });
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.error?.message || "The server answered " + answer.status + ".");
  }

  /** Load the page again once the list of scores has the review, or has it no more. */
  async function showOnce(id, isThere) {
    for (let wait = 0; wait < MOST_WAITS; wait += 1) {
      const { results } = await ask(url + "?" + new URLSearchParams({ trace_id: trace, name: "review", limit: 100 }), "GET");
      if (isThere(results.find((score) => score.id === id))) break;
      await new Promise((done) => setTimeout(done, WAIT_MS));
    }
    location.reload();
  }

  menu.addEventListener("toggle", () => {
    if (!menu.open) return;
    const step = form.querySelector("[data-step]");
    step.textContent = T.selected >= 0 ? T.describe(T.selected).split(",")[0] : "";
    form.elements.about.forEach((radio) => { if (radio.value === "step") radio.disabled = !T.selectedId; });
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [verdict, comment] = [form.elements.verdict.value, form.elements.comment.value.trim()];
    if (verdict === "note" && !comment) {
      show("Write the note first.", "warn");
      form.elements.comment.focus();
      return;
    }
    const spanId = form.elements.about.value === "step" ? T.selectedId : "";
    const score = { trace_id: trace, name: "review", value: verdict === "note" ? "note" : verdict === "good", comment, source: "human" };
    if (spanId) score.span_id = spanId;
    // One's own is replaced. The trace is part of the id, because a score is withdrawn wherever it has that id.
    if (reader) Object.assign(score, { annotator: reader, id: ["review", trace, spanId || "run", reader.slice(0, 140)].join("-") });
    const button = form.querySelector("button.btn--primary");
    button.disabled = true;
    try {
      const [stored] = (await ask(url, "POST", score)).results;
      await showOnce(stored.id, (found) => found?.time === stored.time);
    } catch (error) {
      button.disabled = false;
      show("The review was not stored. " + error.message, "error");
    }
  });

  document.getElementById("reviews")?.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-withdraw]");
    if (!button) return;
    button.disabled = true;
    try {
      await ask(button.dataset.withdraw, "DELETE");
      await showOnce(button.closest("[data-review]").dataset.review, (found) => !found);
    } catch (error) {
      button.disabled = false;
      show("The review still stands. " + error.message, "error");
    }
  });

  onKey("n", () => {
    menu.open = true;
    form.elements.comment.focus();
  });
})();
