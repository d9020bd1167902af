/**
 * The boot of one client: its stages in order, how long each took, and the same of its room's median.
 *
 * What is drawn is also in a table, for those who can't see the drawing.
 */

import { el, svg } from "./ui.js";

/** The stages of a boot in their order. "off" ends a session and is no part of one. */
export const ORDER = ["discover", "offer", "lease", "tftp", "network", "root", "login", "failed"];

/** Units of a drawing from its one side to the other. */
const WIDTH = 640;

/**
 * Return how a boot went from stage to stage; its times are in microseconds, `seconds` in seconds.
 *
 * @param {Record<string, number>} stages @returns {{ from: string, to: string, seconds: number | null }[]}
 */
export function legs(stages) {
    const reached = ORDER.filter(stage => stages[stage]);
    return reached.slice(1).map((to, at) => ({
        from: reached[at], to, seconds: Math.max(0, stages[to] - stages[reached[at]]) / 1e6,
    }));
}

/** Return the medians of the same legs in other boots; `seconds` is null where no other boot has a leg. */
export function medians(own, others) {
    return own.map(({ from, to }) => {
        const took = others.filter(stages => stages[from] && stages[to] >= stages[from])
                .map(stages => (stages[to] - stages[from]) / 1e6)
                .sort((one, other) => one - other);
        const half = Math.floor(took.length / 2);
        if (took.length === 0)
            return { from, to, seconds: null };
        return { from, to, seconds: took.length % 2 ? took[half] : (took[half - 1] + took[half]) / 2 };
    });
}

/** Return how long all legs took together, in seconds. */
export function total(found) {
    return found.reduce((sum, leg) => sum + (leg.seconds ?? 0), 0);
}

/**
 * Draw boots below each other, to one scale: `[[label, legs], …]`. `name(leg)` is what a leg's tip says.
 *
 * @returns {HTMLElement}
 */
export function draw(rows, name) {
    const scale = WIDTH / Math.max(...rows.map(([, found]) => total(found)), 0.001);
    return el("div", { class: "boots" }, rows.map(([label, found]) => {
        let left = 0;
        // The words are outside of the drawing, which is as wide as there is room.
        return [
            el("span", {}, label),
            svg("svg", { viewBox: `0 0 ${WIDTH} 1`, preserveAspectRatio: "none", "aria-hidden": "true" },
                found.map(leg => {
                    const width = (leg.seconds ?? 0) * scale;
                    const piece = svg("rect", {
                        class: `leg to-${leg.to}`, x: left, y: 0, width: Math.max(width, 1), height: 1,
                    }, svg("title", {}, name(leg)));
                    left += width;
                    return piece;
                })),
        ];
    }));
}
