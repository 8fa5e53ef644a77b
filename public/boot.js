// What the page does before and without wasm: the theme switch, forms that say they are busy. Then it starts the wasm where
// something comes alive. A file, not an inline script, so that the content security policy stays strict.
const root = document.documentElement;

document.querySelector("[data-switch-theme]")?.addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `theme=${root.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Lax`;
});

const listen = (around) => {
  for (const form of around.querySelectorAll("form[data-posts]")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      const words = button.firstElementChild.textContent;
      button.disabled = true;
      button.firstElementChild.textContent = form.dataset.posts;
      let sentence = "The server could not be reached. Try again in a moment.";
      try {
        const answer = await fetch(form.action, { method: "POST" });
        const said = await answer.json();
        if (answer.ok) {
          localStorage.setItem(`omnitrace-delete-${said.id}`, said.delete);
          return location.assign(said.url);
        }
        sentence = said.message;
      } catch {}
      button.disabled = false;
      button.firstElementChild.textContent = words;
      form.parentElement.querySelector(".error")?.remove();
      form.insertAdjacentHTML("afterend", '<p class="error" role="alert"></p>');
      form.nextElementSibling.textContent = sentence;
    });
  }
};
listen(document);

// Below a trace that was still being made stands what the server knows of it once it has ended.
const late = document.querySelector("[data-late]");
if (late) {
  new MutationObserver(async (_, observer) => {
    if (!document.querySelector('.trace[data-state="finished"]')) return;
    observer.disconnect();
    const page = await (await fetch(location.pathname)).text();
    const now = new DOMParser().parseFromString(page, "text/html").getElementById("beside");
    if (now) late.replaceWith(now), listen(now);
  }).observe(document.body, { subtree: true, attributeFilter: ["data-state"] });
}

// A wasm module, started; in a page that was saved as one file it is inside that file.
const load = globalThis.omnitraceModule ?? (async (name) => {
  const glue = await import(`/pkg/${name}.js`);
  await glue.default({ module_or_path: `/pkg/${name}_bg.wasm` });
  return glue;
});

// The magnifier over time lines is a module of its own: it comes when someone reaches for one, or a link says how to look.
let magnifier;
async function over(own) {
  if ("drawn" in own.dataset) return;
  try {
    magnifier ??= load("scope");
    const { draw } = await magnifier;
    if ("drawn" in own.dataset) return;
    own.dataset.drawn = "";
    draw(own);
  } catch {
    magnifier = undefined;
  }
}
function magnify() {
  for (const kind of ["pointerover", "focusin", "click"]) {
    addEventListener(kind, async (event) => {
      const own = event.target.closest?.("[data-scope]:not([data-drawn])");
      if (!own) return;
      await over(own);
      if (kind === "click" && "drawn" in own.dataset) event.target.closest("[data-do]")?.click();
    }, { passive: true });
  }
  document.querySelectorAll('[data-zoom][data-scope], [data-setting="stage"] [data-scope]').forEach(over);
}

const part = document.querySelector("[data-alive]");
if (part) {
  const name = ["compose", "world"].find((own) => own === part.dataset.alive) ?? "omnitrace";
  const { wake } = await load(name);
  wake();
  magnify();
  // On the stage nothing may wait for the network once the page is there.
  for (const media of document.querySelectorAll('[data-setting="stage"] :is(audio, video)')) {
    const blob = await (await fetch(media.src)).blob();
    media.src = URL.createObjectURL(blob);
  }
} else {
  root.dataset.hydrated = "";
}
