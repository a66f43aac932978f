/** Returns the entries whose title holds the typed letters in order; beginnings of words count most. */
export function rank<T extends { title: string }>(typed: string, entries: readonly T[]): T[] {
  const letters = typed.trim().toLowerCase();
  if (!letters) return [...entries];
  return entries
    .map((entry) => ({ entry, score: score(letters, entry.title.toLowerCase()) }))
    .filter(({ score: points }) => points > 0)
    .sort((a, b) => b.score - a.score)
    .map(({ entry }) => entry);
}

function score(letters: string, title: string): number {
  const whole = title.indexOf(letters);
  if (whole === 0) return 1000;
  if (whole > 0) return title[whole - 1] === " " ? 900 - whole : 700 - whole;
  let at = -1;
  let points = 100;
  for (const letter of letters) {
    if (letter === " ") continue;
    const next = title.indexOf(letter, at + 1);
    if (next < 0) return 0;
    points -= next - at - 1;
    at = next;
  }
  return Math.max(1, points);
}
