// The difference of two texts, line by line. Pure.

// Beyond so many comparisons a block counts as replaced as a whole; an ltsp.conf with 1,000 other lines is below it.
const MOST = 4000000;

/**
 * Return what became of the lines: a list of {kind, text, line} in the order of the new text. The kind is "same",
 * "removed" or "added"; the line is that of the old text for what was removed, else that of the new one, from 1.
 */
export function difference(before, after) {
    const old = lines(before);
    const now = lines(after);
    let head = 0;
    while (head < old.length && head < now.length && old[head] === now[head])
        head++;
    let tail = 0;
    while (tail < old.length - head && tail < now.length - head &&
           old[old.length - 1 - tail] === now[now.length - 1 - tail])
        tail++;
    const found = [];
    for (let i = 0; i < head; i++)
        found.push({ kind: "same", text: now[i], line: i + 1 });
    middle(old.slice(head, old.length - tail), now.slice(head, now.length - tail), head, found);
    for (let i = now.length - tail; i < now.length; i++)
        found.push({ kind: "same", text: now[i], line: i + 1 });
    return found;
}

/**
 * Return the same without lines that are far from any change: a list of such lists, each with at most `around`
 * unchanged lines before and after its changes. It is empty if nothing differs.
 */
export function pieces(before, after, around = 3) {
    const all = difference(before, after);
    const near = all.map(() => false);
    all.forEach((each, at) => {
        if (each.kind !== "same")
            for (let i = Math.max(0, at - around); i <= Math.min(all.length - 1, at + around); i++)
                near[i] = true;
    });
    const found = [];
    all.forEach((each, at) => {
        if (!near[at])
            return;
        if (at === 0 || !near[at - 1])
            found.push([]);
        found[found.length - 1].push(each);
    });
    return found;
}

function lines(text) {
    const found = text.split("\n");
    if (found[found.length - 1] === "")
        found.pop();
    return found;
}

// Longest common subsequence, by its table: what is between the first and the last change is short.
function middle(old, now, offset, found) {
    const removed = i => found.push({ kind: "removed", text: old[i], line: offset + i + 1 });
    const added = j => found.push({ kind: "added", text: now[j], line: offset + j + 1 });
    if (old.length * now.length > MOST) {
        old.forEach((_, i) => removed(i));
        now.forEach((_, j) => added(j));
        return;
    }
    const width = now.length + 1;
    const table = new Uint16Array((old.length + 1) * width);
    for (let i = old.length - 1; i >= 0; i--)
        for (let j = now.length - 1; j >= 0; j--)
            table[i * width + j] = old[i] === now[j]
                ? table[(i + 1) * width + j + 1] + 1
                : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    let i = 0;
    let j = 0;
    while (i < old.length || j < now.length) {
        if (i < old.length && j < now.length && old[i] === now[j]) {
            found.push({ kind: "same", text: now[j], line: offset + j + 1 });
            i++;
            j++;
        } else if (i < old.length && (j === now.length || table[(i + 1) * width + j] >= table[i * width + j + 1])) {
            removed(i++);
        } else {
            added(j++);
        }
    }
}
