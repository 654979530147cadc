// Symbols are foreign text. Text nodes already stop injection; this stops deception: what would be invisible, would
// reorder the line or would flood the page is shown for what it is.

const UNSEEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;

/** `text` with nothing hidden in it and at most about `max` characters, the middle left out. */
export function legible(text: string, max = 200): string {
  if (text.trim() === "") return text === "" ? "(no name)" : "(blank name)";
  const shown = text.replace(UNSEEN, (found) => `\\u${found.codePointAt(0)!.toString(16).padStart(4, "0")}`);
  if (shown.length <= max) return shown;
  const head = Math.ceil((max - 3) * 0.65);
  return `${shown.slice(0, head)} … ${shown.slice(head + 3 - max)}`.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "");
}

/** A function's name for a title: without its arguments, long template arguments folded to `<…>`. */
export function short(name: string, max = 120): string {
  let out = "";
  let depth = 0;
  let folded = 0;
  for (let i = 0; i < name.length && i < 4096; i++) {
    const c = name[i]!;
    // In `operator<<`, `operator->` and `operator()` these are the name itself.
    // So is the receiver of a method of Go: `main.(*Table).insert`.
    const operator = c === "(" ? out.endsWith("operator") || (out.endsWith(".") && name[i + 1] === "*") : (c === "<" || c === ">") && /operator[<>\-=]*$/.test(out.slice(-12));
    if (c === "<" && !operator) {
      if (depth++ === 0) folded = out.length;
    } else if (c === ">" && !operator && depth > 0 && name[i - 1] !== "-") {
      if (--depth === 0) {
        const inside = out.slice(folded + 1);
        // A Rust `<Type as Trait>::method` begins with its type: that is the name.
        if (folded > 0 && inside.length > 12) out = `${out.slice(0, folded)}<…`;
      }
    } else if (c === "(" && depth === 0 && out !== "" && !operator && !name.startsWith("(anonymous namespace)", i)) {
      break;
    }
    out += c;
  }
  return legible(out.trim() === "" ? name : out.trim(), max);
}

/** The last part of a path. */
export const base = (path: string) => path.slice(path.lastIndexOf("/") + 1);

/** The last two parts of a path: enough to find a source file. */
export function tail(path: string): string {
  const cut = path.lastIndexOf("/", path.lastIndexOf("/") - 1);
  return cut > 0 ? path.slice(cut + 1) : path;
}
