"use strict";
// The form of an entry: shows the fields of the chosen kind of schedule, and its next slots.
{
  const form = document.getElementById("entry_form");
  const kind = form && form.elements.namedItem("kind");
  const out = document.getElementById("habeat-preview");
  const SECRET = ["args", "kwargs", "options", "seen"];
  const WAIT_MS = 300;
  let timer = 0;
  let running = null;

  const showFields = () => {
    for (const row of form.querySelectorAll(".form-row[data-kinds]")) {
      const kinds = row.dataset.kinds.split(" ").filter(Boolean);
      row.hidden = kinds.length > 0 && !kinds.includes(kind.value);
    }
  };

  const line = (tag, text, parent) => {
    const element = document.createElement(tag);
    element.textContent = text;
    parent.append(element);
    return element;
  };

  const show = (answer) => {
    out.replaceChildren();
    out.classList.toggle("is-wrong", !answer.slots);
    if (!answer.slots) {
      const texts = answer.error ? [answer.error] : Object.values(answer.errors || {});
      texts.forEach((text) => line("p", text, out));
      return;
    }
    line("strong", answer.words, out);
    if (answer.none) line("p", answer.none, out);
    const list = document.createElement("ol");
    for (const slot of answer.slots) {
      const marks = slot.marks ? `; ${slot.marks}` : "";
      line("li", `${slot.time}, ${slot.distance}${marks}`, list);
    }
    out.append(list);
  };

  const preview = async () => {
    if (running) running.abort();
    if (kind.value === "kept") {
      out.replaceChildren();
      return;
    }
    running = new AbortController();
    const data = new FormData(form);
    SECRET.forEach((name) => data.delete(name));
    const name = form.elements.namedItem("name");
    if (name && name.disabled) data.set("name", name.value);
    try {
      const answer = await fetch(form.dataset.preview, {
        method: "POST",
        body: data,
        signal: running.signal,
        headers: { "X-Requested-With": "XMLHttpRequest" },
      });
      const isJson = (answer.headers.get("Content-Type") || "").startsWith("application/json");
      show(isJson ? await answer.json() : { error: `No preview: the server answered ${answer.status}.` });
    } catch (error) {
      if (error.name !== "AbortError") show({ error: "No preview: the server did not answer." });
    }
  };

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(preview, WAIT_MS);
  };

  if (form && kind && out) {
    kind.addEventListener("change", showFields);
    form.addEventListener("input", later);
    form.addEventListener("change", later);
    showFields();
    preview();
  }
}
