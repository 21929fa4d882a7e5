// Imports of files: dropping a file onto its area, and showing the stream of an import without leaving the page.
(() => {
  "use strict";

  const named = (area) => {
    const file = area.querySelector("input[type=file]").files[0];
    area.querySelector("[data-drop-name]").textContent = file ? file.name : "";
    area.classList.toggle("has-file", Boolean(file));
  };

  document.querySelectorAll("[data-drop]").forEach((area) => {
    const input = area.querySelector("input[type=file]");
    input.addEventListener("change", () => named(area));
    for (const kind of ["dragenter", "dragover"]) {
      area.addEventListener(kind, (event) => {
        event.preventDefault();
        area.classList.add("is-over");
      });
    }
    for (const kind of ["dragleave", "dragend", "drop"]) {
      area.addEventListener(kind, () => area.classList.remove("is-over"));
    }
    area.addEventListener("drop", (event) => {
      event.preventDefault();
      if (!event.dataTransfer?.files.length) return;
      input.files = event.dataTransfer.files;
      named(area);
    });
    named(area);
  });

  // The page of an error, without its frame.
  const messageOf = (html) => new DOMParser().parseFromString(html, "text/html").querySelector(".message, main")?.innerHTML;

  const leave = (event) => event.preventDefault();

  const stream = async (form, submitter, target) => {
    const body = new FormData(form);
    if (submitter?.name) body.append(submitter.name, submitter.value);
    const response = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true" } });
    const toSignIn = response.headers.get("HX-Redirect");
    if (toSignIn) {
      location.assign(toSignIn);
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      text += value;
      if (response.ok) target.innerHTML = text;
    }
    if (!response.ok) target.innerHTML = messageOf(text) ?? "The file could not be sent.";
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-stream]");
    if (!form || event.defaultPrevented) return;
    event.preventDefault();
    const target = document.querySelector(form.dataset.stream);
    target.textContent = "Sending the file.";
    target.scrollIntoView({ block: "nearest" });
    window.addEventListener("beforeunload", leave);
    try {
      await stream(form, event.submitter, target);
    } catch {
      target.textContent =
        "The connection was lost. Send the same file again: an import continues where it stopped, and executes no line twice.";
    } finally {
      window.removeEventListener("beforeunload", leave);
      delete form.dataset.sent;
      form.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
    }
  });
})();
