/** What is held is given back exactly once, however many ways out there are: later calls do nothing. */
export function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}
