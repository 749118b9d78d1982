/** The words of the configuration file for the contract's enums: `leastConnections` for ALGORITHM_LEAST_CONNECTIONS. */
import {
  Algorithm,
  CheckType,
  CloseMode,
  Difference_Kind,
  HealthState,
  LimitAction,
  OnUnhealthy,
  ProxyProtocolVersion,
  RateAlgorithm,
  ServerMode,
  WatchConnectionsResponse_Kind,
  WatchHealthResponse_Kind,
} from '../src/gen/lb/admin/v1/admin.ts';

/** From word to wire name, without what means "not said". */
export type Words<Wire extends string> = ReadonlyMap<string, Wire>;

export const ALGORITHM_WORDS: Words<Algorithm> = wordsOf(Algorithm);
export const ON_UNHEALTHY_WORDS: Words<OnUnhealthy> = wordsOf(OnUnhealthy);
export const PROXY_PROTOCOL_WORDS: Words<ProxyProtocolVersion> = wordsOf(ProxyProtocolVersion);
export const CHECK_TYPE_WORDS: Words<CheckType> = wordsOf(CheckType);
export const RATE_ALGORITHM_WORDS: Words<RateAlgorithm> = wordsOf(RateAlgorithm);
export const LIMIT_ACTION_WORDS: Words<LimitAction> = wordsOf(LimitAction);
export const SERVER_MODE_WORDS: Words<ServerMode> = wordsOf(ServerMode);
export const CLOSE_MODE_WORDS: Words<CloseMode> = wordsOf(CloseMode);

const WORD_OF_WIRE_NAME: ReadonlyMap<string, string> = new Map(
  [
    ALGORITHM_WORDS,
    ON_UNHEALTHY_WORDS,
    PROXY_PROTOCOL_WORDS,
    CHECK_TYPE_WORDS,
    RATE_ALGORITHM_WORDS,
    LIMIT_ACTION_WORDS,
    SERVER_MODE_WORDS,
    CLOSE_MODE_WORDS,
    wordsOf(Difference_Kind),
    wordsOf(WatchConnectionsResponse_Kind),
    wordsOf(HealthState),
    wordsOf(WatchHealthResponse_Kind),
  ].flatMap((words) => [...words].map(([word, wireName]): [string, string] => [wireName, word])),
);

/** The word for an enum's wire name; undefined for UNSPECIFIED and for what this lbctl does not know. */
export function wordOf(wireName: string): string | undefined {
  return WORD_OF_WIRE_NAME.get(wireName);
}

function wordsOf<Wire extends string>(wireNames: Readonly<Record<string, Wire>>): Words<Wire> {
  return new Map(
    Object.entries(wireNames)
      .filter(([name]) => name !== 'UNSPECIFIED' && name !== 'UNRECOGNIZED')
      .map(([name, wireName]) => [name.toLowerCase().replace(/_(\w)/g, (_match, letter: string) => letter.toUpperCase()), wireName]),
  );
}
