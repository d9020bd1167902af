/** What this person may do, asked before it is offered: polkit decides, and its rules may be about one room. */

import { option } from "./bus.js";
import { _, mark } from "./ui.js";

/** Calls in one question; the daemon takes no more. */
const MOST = 100;

/**
 * Return for each call whether it would be allowed without a password: `[path, method, [[type, value], …]]`.
 *
 * A daemon that can't say (it is from before 0.6) lets everything be tried; then the call itself is refused.
 *
 * @param {import("./bus.js").Model} model @param {[string, string, [string, any][]][]} calls
 * @returns {Promise<boolean[]>}
 */
export async function may(model, calls) {
    const found = [];
    for (let at = 0; at < calls.length; at += MOST) {
        const some = calls.slice(at, at + MOST);
        const asked = some.map(([path, method, values]) => [
            path, method, values.map(([signature, value]) => option(signature, value)),
        ]);
        try {
            const [allowed] = await model.manage("MayCall", "a(osav)", [asked]);
            found.push(...allowed);
        } catch (error) {
            console.warn(`ltspd can't say what is allowed: ${error.message}`);
            found.push(...some.map(() => true));
        }
    }
    return found;
}

/**
 * Let a button be pressed only if nothing is against it; `why` is that, in words, and empty if there is nothing.
 *
 * It can still be reached by the keyboard, so that its reason is heard.
 */
export function unless(button, why) {
    mark(button, "data-why", why || null);
    mark(button, "aria-disabled", why ? "true" : null);
    mark(button, "title", why || null);
}

export const NOT_ALLOWED = () => _("You are not allowed to do this.");

/** The sentence for somebody who may look and nothing else. */
export const ONLY_LOOK = () => _("You can look at everything here, but you may not change it. Turn on administrative " +
                                  "access, or ask an administrator for a rule that allows it.");
