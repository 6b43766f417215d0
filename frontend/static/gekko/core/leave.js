// Leave for one action: a fresh code buys it.

import { Refused, post } from "./api.js";

/** A grant for one action on one object, bought with a fresh code. */
export async function leave(code, action, object) {
  if (!/^\d{6,8}$/.test(code.trim())) throw new Refused(0, { detail: "Enter the six digits that your authenticator shows" });
  const { grant } = await post("auth/step-up/", { code: code.trim(), action, object_id: object });
  return grant;
}
