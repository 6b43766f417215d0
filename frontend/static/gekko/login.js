// Signing in: name and password, then the code. A recovery code leads to setting up a new authenticator.

import { get, post } from "./core/api.js";

const HINTS = {
  password: ["Sign in", "Step 1 of 2: your name and password."],
  second_factor: ["Second step", "Step 2 of 2: the six digits that your authenticator shows now."],
  recovery: ["Recovery code", "One of the codes that you kept when you enrolled."],
  enrol: ["New authenticator", "Your old one stops working and all your sessions end."],
};
const error = document.getElementById("error");
let device = null;
let countdown = 0;

function show(step) {
  for (const form of document.querySelectorAll("[data-step]")) form.hidden = form.dataset.step !== step;
  const [title, hint] = HINTS[step];
  document.getElementById("step-title").textContent = title;
  document.getElementById("step-hint").textContent = hint;
  document.querySelector(`[data-step="${step}"] input`)?.focus();
}

/** Say what went wrong; with a wait, count the seconds down and keep the buttons off until then. */
function refuse(refused) {
  clearInterval(countdown);
  const until = Date.now() + Number(refused.fields?.retry_after_s || 0) * 1000;
  const tell = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    error.textContent = left > 0 ? `${refused.words} Try again in ${left} s.` : refused.words;
    for (const button of document.querySelectorAll('button[type="submit"]')) button.disabled = left > 0;
    if (left <= 0) clearInterval(countdown);
  };
  if (refused.fields?.retry_after_s) countdown = setInterval(tell, 500);
  tell();
}

async function follow(answer) {
  error.textContent = "";
  if (answer.state === "signed_in") location.assign(document.body.dataset.next || "/");
  else if (answer.state === "enrol") await enrol();
  else show(answer.state === "second_factor" ? "second_factor" : "password");
}

async function enrol() {
  const made = await post("auth/totp/", { name: "Authenticator" });
  device = made.device_id;
  document.getElementById("secret").textContent = made.secret.replace(/(.{4})/g, "$1 ").trim();
  const picture = new DOMParser().parseFromString(made.qr_svg, "image/svg+xml").documentElement;
  document.getElementById("qr").replaceChildren(document.importNode(picture, true));
  show("enrol");
}

const SEND = {
  password: (form) => post("auth/sign-in/", { username: form.username.value.trim(), password: form.password.value }),
  second_factor: (form) => post("auth/second-factor/", { code: form.code.value.replace(/\s/g, "") }),
  recovery: (form) => post("auth/recovery/", { code: form.code.value.trim() }),
  enrol: (form) => post("auth/totp/confirm/", { code: form.code.value.replace(/\s/g, ""), device_id: device }),
};

for (const form of document.querySelectorAll("[data-step]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector('button[type="submit"]');
    button.disabled = true;
    try {
      await follow(await SEND[form.dataset.step](form));
      button.disabled = false;
    } catch (refused) {
      button.disabled = false;
      refuse(refused);
      if (refused.code === "not_authenticated" && form.dataset.step !== "password") show("password");
      form.querySelector(".code, [type=password]")?.select();
    }
  });
}
for (const link of document.querySelectorAll("[data-go]")) link.addEventListener("click", () => show(link.dataset.go));

get("auth/state/").then(follow, refuse);
