// What a page can do besides with scripting: links open what they lead to, entries are found, commands are copied.
"use strict";
const open = target => {
  for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
};
const follow = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) { open(target); target.scrollIntoView(); }
};
addEventListener("hashchange", follow);
follow();

for (const form of document.querySelectorAll("section form.finder")) {
  const entries = [...form.closest("section").querySelectorAll("details.entry")];
  const texts = new Map(entries.map(e => [e, e.textContent.toLowerCase()]));
  const leaves = entries.filter(e => !e.querySelector("details.entry"));
  form.hidden = false;
  form.addEventListener("submit", event => event.preventDefault());
  const find = () => {
    const text = form.elements.text.value.trim().toLowerCase();
    const chosen = [...form.querySelectorAll("select")].filter(s => s.value);
    const fits = e => texts.get(e).includes(text)
      && chosen.every(s => (e.dataset[s.name] || "").split(" ").includes(s.value));
    const shown = new Set(leaves.filter(fits));
    for (const e of entries) e.hidden = !(shown.has(e) || leaves.some(leaf => shown.has(leaf) && e.contains(leaf)));
    for (const part of form.closest("section").querySelectorAll("section"))
      part.hidden = !part.querySelector("details.entry:not([hidden])");
    form.querySelector("output").textContent =
      text || chosen.length ? `${shown.size} of ${leaves.length}` : "";
  };
  for (const kind of ["input", "change"]) form.addEventListener(kind, find);
}

if (navigator.clipboard) for (const code of document.querySelectorAll("pre > code, dd > code:only-child")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.innerText);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  code.after(button);
}
