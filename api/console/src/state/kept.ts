// Choices that this browser keeps. Storage may be forbidden on a locked-down control-room machine:
// then they last until the page is closed.
const PREFIX = "parktwin.";

export function kept(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

export function keep(name: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // See above.
  }
}
