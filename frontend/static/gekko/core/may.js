// What the person at this screen may do. It decides which buttons are shown; the server decides again.

const held = new Set((document.body.dataset.capabilities || "").split(" "));

export const may = (capability) => held.has(capability);
export const venue = document.body.dataset.venue;
export const user = document.body.dataset.user;
export const mode = document.body.dataset.mode;
