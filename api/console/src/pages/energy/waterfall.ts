// The geometry of a waterfall: from one total by its causes to another.

export interface Cause {
  label: string;
  value: number | null;
  half: number | null;
  pointer: string; // of its figure in the answer
}

export interface Step {
  label: string;
  value: number;
  half: number | null;
  pointer: string;
  isEnd: boolean;
  left: number; // shares of the width
  width: number;
}

const MARGIN = 0.15; // of the changes, left free on both sides

/** Bars of a total, of the causes that follow it, and of the total they lead to; the scale holds the changes. */
export function stepsOf(
  before: number,
  causes: Cause[],
  after: number,
  labels: { before: string; after: string },
): Step[] {
  const levels = [before];
  for (const cause of causes) levels.push(levels.at(-1)! + (cause.value ?? 0));
  levels.push(after);
  const [least, most] = [Math.min(...levels), Math.max(...levels)];
  const margin = Math.max(MARGIN * (most - least), 1e-3 * Math.abs(most), 1e-9);
  const low = least - margin;
  const span = most + margin - low;
  const shareOf = (level: number): number => (level - low) / span;
  const end = (label: string, value: number, pointer: string): Step => ({
    label,
    value,
    half: null,
    pointer,
    isEnd: true,
    left: 0,
    width: shareOf(value),
  });
  const steps = causes.map((cause, i): Step => {
    const [from, to] = [levels[i]!, levels[i + 1]!];
    return {
      label: cause.label,
      value: cause.value ?? 0,
      half: cause.half,
      pointer: cause.pointer,
      isEnd: false,
      left: shareOf(Math.min(from, to)),
      width: Math.abs(to - from) / span,
    };
  });
  return [
    end(labels.before, before, "/before"),
    ...steps.filter((step) => step.value !== 0),
    end(labels.after, after, "/after"),
  ];
}
