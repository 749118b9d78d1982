/** Whether so few servers of a group are left that their health is not looked at any more, as Envoy's panic threshold has it. */

/** What is known of one server, as far as panic goes. */
export interface PanicServer {
  /** In mode ready, and of a weight: it would take connections if it were well. */
  readonly isWanted: boolean;
  /** Failed its checks, or is ejected. One that was not checked yet is not. */
  readonly isDown: boolean;
}

/** `thresholdPercent` 0: never. A group of which no server is wanted is not in panic: there is nobody to send connections to. */
export function isInPanic(servers: Iterable<PanicServer>, thresholdPercent: number): boolean {
  if (thresholdPercent === 0) return false;
  let [wanted, well] = [0, 0];
  for (const { isWanted, isDown } of servers) {
    if (!isWanted) continue;
    wanted++;
    if (!isDown) well++;
  }
  return wanted > 0 && well * 100 < wanted * thresholdPercent;
}
