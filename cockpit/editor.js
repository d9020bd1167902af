// A text field with line numbers and marks at lines: a textarea, so keyboard and screen readers know it.

/**
 * Make an editor of these parts, which the page has already: `area` is a textarea with a label, `gutter` an element
 * beside it. `changed` is called with the text whenever a person has changed it.
 *
 * The gutter shows the numbers to those who see it. Screen readers get the findings as a list of their own, which
 * the page makes, because a number beside a line says nothing to them.
 */
export function editor(area, gutter, changed) {
    let rows = 0;
    let marks = new Map();

    function number() {
        const wanted = area.value.split("\n").length;
        while (rows > wanted) {
            gutter.lastChild.remove();
            rows--;
        }
        while (rows < wanted) {
            const row = document.createElement("div");
            row.textContent = String(++rows);
            mark(row, rows);
            gutter.append(row);
        }
    }

    function mark(row, line) {
        const found = marks.get(line);
        row.className = found ? found.severity : "";
        row.title = found ? found.message : "";
    }

    function follow() {
        gutter.scrollTop = area.scrollTop;
    }

    area.addEventListener("input", () => {
        number();
        changed(area.value);
    });
    area.addEventListener("scroll", follow);
    number();

    return {
        get text() {
            return area.value;
        },

        /** Show another text; the caret stays at its line and column as far as there are such. */
        set text(text) {
            if (text === area.value)
                return;
            const focused = document.activeElement === area;
            const [line, column] = place(area.value, area.selectionStart);
            const top = area.scrollTop;
            area.value = text;
            const at = offset(text, line, column);
            area.setSelectionRange(at, at);
            area.scrollTop = top;
            if (focused)
                area.focus();
            number();
            follow();
        },

        /** Mark the lines of findings ({line, severity, message}); the worst of a line is what it shows. */
        mark(findings) {
            const rank = { error: 2, warning: 1, info: 0 };
            marks = new Map();
            for (const each of findings) {
                const there = marks.get(each.line);
                const message = there ? `${there.message}\n${each.message}` : each.message;
                const worst = there && rank[there.severity] >= rank[each.severity] ? there.severity : each.severity;
                marks.set(each.line, { severity: worst, message });
            }
            for (let at = 0; at < gutter.children.length; at++)
                mark(gutter.children[at], at + 1);
        },

        /** Put the caret at the begin of a line, and show it. */
        go(line) {
            const at = offset(area.value, line - 1, 0);
            const end = area.value.indexOf("\n", at);
            area.focus();
            area.setSelectionRange(at, end < 0 ? area.value.length : end);
            const height = parseFloat(getComputedStyle(area).lineHeight) || 20;
            area.scrollTop = Math.max(0, (line - 1) * height - area.clientHeight / 2);
            follow();
        },
    };
}

function place(text, at) {
    const before = text.slice(0, at).split("\n");
    return [before.length - 1, before[before.length - 1].length];
}

function offset(text, line, column) {
    let at = 0;
    for (let i = 0; i < line; i++) {
        const end = text.indexOf("\n", at);
        if (end < 0)
            return text.length;
        at = end + 1;
    }
    const end = text.indexOf("\n", at);
    return Math.min(at + column, end < 0 ? text.length : end);
}
