import { envoy } from './envoy.ts';
import { ghostunnel } from './ghostunnel.ts';
import { haproxy } from './haproxy.ts';
import { lbd } from './lbd.ts';
import { nginx } from './nginx.ts';
import { nodePipe } from './node-pipe.ts';
import type { Peer } from './peer.ts';

/** Every peer that the benchmark knows; the ratios are to HAProxy. */
export const PEERS: readonly Peer[] = [lbd, haproxy, nginx, envoy, ghostunnel, nodePipe];

/** The names that can be asked for. */
export const PEER_NAMES: readonly string[] = PEERS.map(({ name }) => name);
